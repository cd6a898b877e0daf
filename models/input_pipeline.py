"""Streams raw examples from disk through the transform graph, in batches.

Memory does not grow with the data: what is held is SHUFFLE_BUFFER serialized examples (about 1 KB
each) and a few batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tensorflow_transform.output_wrapper import TFTransformOutput

from models.features import IMAGE, LABEL

SHUFFLE_BUFFER = 65_536
"""Examples to draw the next one from: a data set up to this size is shuffled perfectly."""


def match_files(patterns: Sequence[str]) -> list[str]:
    """Lists the files that match any of the patterns, sorted.

    Raises:
      ValueError: a pattern matches nothing.
    """
    files = set()
    for pattern in patterns:
        matches = tf.io.gfile.glob(pattern)
        if not matches:
            raise ValueError(
                f"Expected TFRecord files of examples, found none that match {pattern!r}: "
                "check that ExampleGen wrote this split"
            )
        files.update(matches)
    return sorted(files)


def count_examples(files: Sequence[str]) -> int:
    """Counts the records of gzipped TFRecord files by reading them once.

    Raises:
      ValueError: there are none.
    """
    count = int(_records(files).batch(1024).reduce(0, lambda n, batch: n + tf.size(batch)))
    if not count:
        raise ValueError(f"Expected at least 1 example, received 0 in {list(files)}")
    return count


def training_batches(
    files: Sequence[str],
    tft_output: TFTransformOutput,
    batch_size: int,
    seed: int,
    epochs: range,
) -> tf.data.Dataset:
    """Streams every epoch one after the other, each in an order of its own.

    An epoch's order depends on nothing but the files, the seed and the epoch's number, so a
    training that is resumed at an epoch sees the order that it would have seen.

    Args:
      files: gzipped TFRecord files of raw examples.
      tft_output: the transform graph.
      batch_size: examples in a batch; the last batch of an epoch has what is left.
      seed: of the shuffling.
      epochs: the numbers of the epochs, from 0.

    Returns:
      Pairs of images, float32 (batch, *IMAGE_SHAPE), and labels, int64 (batch,).
    """

    @tf.autograph.experimental.do_not_convert
    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        records = _records(files).shuffle(SHUFFLE_BUFFER, seed=seed + epoch)
        return _transformed(records, tft_output, batch_size)

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    return numbers.flat_map(one_epoch).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    files: Sequence[str], tft_output: TFTransformOutput, batch_size: int
) -> tf.data.Dataset:
    """Streams the examples once, in their order; what it yields is as in `training_batches`."""
    return _transformed(_records(files), tft_output, batch_size).prefetch(tf.data.AUTOTUNE)


def _records(files: Sequence[str]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(list(files), compression_type="GZIP")


def _transformed(
    records: tf.data.Dataset, tft_output: TFTransformOutput, batch_size: int
) -> tf.data.Dataset:
    layer = tft_output.transform_features_layer()
    raw_spec = tft_output.raw_feature_spec()
    spec = {name: raw_spec[name] for name in (IMAGE, LABEL)}

    # Converting the functions of the libraries called here would take seconds, and change nothing.
    @tf.autograph.experimental.do_not_convert
    def transform(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(batch, spec))
        return features[IMAGE], features[LABEL]

    return records.batch(batch_size).map(transform, num_parallel_calls=tf.data.AUTOTUNE)
