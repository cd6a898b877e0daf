"""Reads examples and runs a model on them, in batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.report.predictions import Classified, Floats, WorstMistakes, classify
from models.features import IMAGE, LABEL, PROBABILITIES
from models.tf_data import without_autotuning

SAMPLES = 5
MISTAKES = 25
_MOST_EXAMPLES = 512
_BATCH_BYTES = 16 << 20
"""Size of a batch of images. The model converts each byte to float32, which takes 64 MiB."""
_SIGNATURE = "serving_default"

Shape = tuple[int, int, int]
Images = npt.NDArray[np.uint8]


class Batch(NamedTuple):
    """Serialized examples and their features.

    Attributes:
      serialized: string tensor of shape (n,).
      images: uint8 of shape (n, height, width, channels).
      labels: int64 of shape (n,).
    """

    serialized: tf.Tensor
    images: Images
    labels: npt.NDArray[np.int64]


class Inferred(NamedTuple):
    """A model's predictions on a split.

    Attributes:
      labels: int64 of shape (n,).
      predicted: labels or INVALID, int64 of shape (n,).
      confidences: float32 of shape (n,).
      samples: the first examples.
      mistakes: wrong predictions with the highest confidence, in descending order.
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidences: Floats
    samples: list[Classified]
    mistakes: list[Classified]


def run_inference(model_dir: Path, split_uri: str, image_shape: Shape) -> Inferred:
    """Runs a SavedModel on all examples of a split, with one batch of images in memory at a time.

    Args:
      model_dir: directory of the SavedModel.
      split_uri: directory of gzipped TFRecords of raw tf.Examples.
      image_shape: height, width and channels.

    Raises:
      ValueError: if there are no examples, or an image has another size.
    """
    signature = tf.saved_model.load(str(model_dir)).signatures[_SIGNATURE]
    worst = WorstMistakes(MISTAKES)
    samples: list[Classified] = []
    labels, predicted, confidences = [], [], []
    seen = 0
    for batch in read_batches(split_uri, image_shape):
        probabilities = signature(examples=batch.serialized)[PROBABILITIES].numpy()
        worst.add(seen, batch.labels, batch.images, probabilities)
        samples += [
            Classified(seen + i, int(batch.labels[i]), batch.images[i].copy(), probabilities[i])
            for i in range(min(SAMPLES - len(samples), len(batch.labels)))
        ]
        batch_predicted, batch_confidences = classify(probabilities)
        labels.append(batch.labels)
        predicted.append(batch_predicted)
        confidences.append(batch_confidences)
        seen += len(batch.labels)
    return Inferred(
        np.concatenate(labels),
        np.concatenate(predicted),
        np.concatenate(confidences),
        samples,
        worst.kept,
    )


def first_of_each_class(
    split_uri: str, image_shape: Shape, classes: int, count: int
) -> dict[int, list[Images]]:
    """Reads the first images of each class, omitting classes without examples."""
    found: dict[int, list[Images]] = {}
    for batch in read_batches(split_uri, image_shape):
        for label, image in zip(batch.labels.tolist(), batch.images, strict=True):
            images = found.setdefault(label, [])
            if len(images) < count:
                images.append(image.copy())
        if len(found) == classes and all(len(images) == count for images in found.values()):
            break
    return dict(sorted(found.items()))


def batch_size(image_shape: Shape) -> int:
    """Returns the number of examples per batch, whose images take at most 16 MiB."""
    return max(1, min(_MOST_EXAMPLES, _BATCH_BYTES // math.prod(image_shape)))


def read_batches(split_uri: str, image_shape: Shape) -> Iterator[Batch]:
    """Reads raw tf.Examples from gzipped TFRecord files, sorted by file name.

    Raises:
      ValueError: if there are no files, or an image has another size.
    """
    spec = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.FixedLenFeature([], tf.int64),
    }
    files = sorted(tf.io.gfile.glob(f"{split_uri}/*"))
    if not files:
        raise ValueError(f"expected examples in {split_uri}, found no files")
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    for serialized in without_autotuning(records.batch(batch_size(image_shape))):
        features = tf.io.parse_example(serialized, spec)
        labels = features[LABEL].numpy()
        pixels = np.frombuffer(b"".join(features[IMAGE].numpy()), np.uint8)
        yield Batch(serialized, pixels.reshape(len(labels), *image_shape), labels)
