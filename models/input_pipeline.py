"""Streams batches of raw examples from disk through the transform graph.

Memory use does not depend on the size of the data set: the pipeline holds SHUFFLE_BUFFER serialized
examples and a few batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tensorflow_transform.output_wrapper import TFTransformOutput

from models.augmentation import augment, augments
from models.features import IMAGE, IMAGE_BYTES, LABEL
from models.hyperparameters import Hyperparameters
from models.tf_data import without_autotuning


def images_in(mebibytes: int, image_bytes: int = IMAGE_BYTES) -> int:
    """Returns how many raw images fit into `mebibytes` MiB, at least 1."""
    return max(1, mebibytes * 2**20 // image_bytes)


SHUFFLE_BUFFER = images_in(128)
"""Size of the shuffle buffer in examples: 171,196 at 28 x 28 x 1, and 891 at 224 x 224 x 3. A
data set up to this size is shuffled uniformly."""

EVALUATION_BATCH_SIZE = min(500, images_in(4))
"""Examples per validation batch. Limited to 4 MiB of raw images, because the activations of a
network need hundreds of times as much memory."""

_PREFETCHED = 2

_LARGEST_SEED = 2**31 - 1
"""TensorFlow reduces seeds modulo this number."""


def match_files(patterns: Sequence[str]) -> list[str]:
    """Lists the files that match any of the patterns, sorted.

    Raises:
      ValueError: if a pattern matches no file.
    """
    files = set()
    for pattern in patterns:
        matches = tf.io.gfile.glob(pattern)
        if not matches:
            raise ValueError(
                f"no TFRecord files match {pattern!r}; check that ExampleGen wrote this split"
            )
        files.update(matches)
    return sorted(files)


def count_examples(files: Sequence[str]) -> int:
    """Counts the records of gzipped TFRecord files by reading them once.

    Raises:
      ValueError: if there are none.
    """
    batches = without_autotuning(_records(files).batch(EVALUATION_BATCH_SIZE))
    count = int(batches.reduce(0, lambda n, batch: n + tf.size(batch)))
    if not count:
        raise ValueError(f"Expected at least 1 example, received 0 in {list(files)}")
    return count


def training_batches(
    files: Sequence[str],
    count: int,
    tft_output: TFTransformOutput,
    parameters: Hyperparameters,
    epochs: range,
) -> tf.data.Dataset:
    """Streams consecutive epochs, each in a different order and with different augmentation.

    Both depend only on the files, the seed, the epoch number and the step, so resumed training sees
    the same images as uninterrupted training. If the examples don't fit into the shuffle buffer,
    the files are shuffled too.

    Args:
      files: gzipped TFRecord files of raw examples.
      count: number of examples in the files.
      tft_output: the transform graph.
      parameters: provides `batch_size`, `seed` and the augmentation. The last batch of an epoch
        may be smaller.
      epochs: epoch numbers, from 0.

    Returns:
      Pairs of images, float32 (batch, *IMAGE_SHAPE), and labels, int64 (batch,).
    """

    @tf.autograph.experimental.do_not_convert
    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # Sets the seed of this function's graph only, so the global seed can't affect the order.
        # A graph seed of 0 would make TensorFlow compare the symbolic epoch seed with 0, and fail.
        tf.random.set_seed(parameters.seed % _LARGEST_SEED or 1)
        seed = parameters.seed + epoch
        names = tf.data.Dataset.from_tensor_slices(list(files))
        if count > SHUFFLE_BUFFER:
            names = names.shuffle(len(files), seed=seed)
        batches = _transformed(
            _records(names).shuffle(SHUFFLE_BUFFER, seed=seed), tft_output, parameters.batch_size
        )
        if not augments(parameters):
            return batches

        def augmented(
            step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            images, labels = batch
            # An epoch has at most `count` steps, so each step of the training gets its own seed.
            return augment(images, parameters, [parameters.seed, epoch * count + step]), labels

        return batches.enumerate().map(augmented, num_parallel_calls=tf.data.AUTOTUNE)

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    return without_autotuning(numbers.flat_map(one_epoch).prefetch(_PREFETCHED))


def evaluation_batches(files: Sequence[str], tft_output: TFTransformOutput) -> tf.data.Dataset:
    """Streams every example once, in file order, in batches of EVALUATION_BATCH_SIZE.

    Returns:
      Pairs of images and labels, as in `training_batches`.
    """
    batches = _transformed(_records(files), tft_output, EVALUATION_BATCH_SIZE)
    return without_autotuning(batches.prefetch(_PREFETCHED))


def first_images(files: Sequence[str], count: int, tft_output: TFTransformOutput) -> tf.Tensor:
    """Returns the first images of the files: float32 of shape (count or fewer, *IMAGE_SHAPE)."""
    images, _ = next(iter(without_autotuning(_transformed(_records(files), tft_output, count))))
    return images


def _records(files: Sequence[str] | tf.data.Dataset) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(files, compression_type="GZIP")


def _transformed(
    records: tf.data.Dataset, tft_output: TFTransformOutput, batch_size: int
) -> tf.data.Dataset:
    layer = tft_output.transform_features_layer()
    raw_spec = tft_output.raw_feature_spec()
    spec = {name: raw_spec[name] for name in (IMAGE, LABEL)}

    # AutoGraph would take seconds to convert library functions that don't need conversion.
    @tf.autograph.experimental.do_not_convert
    def transform(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(batch, spec))
        return features[IMAGE], features[LABEL]

    return records.batch(batch_size).map(transform, num_parallel_calls=tf.data.AUTOTUNE)
