"""Runs a model on the examples of a split, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.common.example_batches import Batch, Shape, read_batches
from components.report.predictions import Classified, Floats, WorstMistakes, classify
from models.features import PROBABILITIES

SAMPLES = 5
MISTAKES = 25
_SIGNATURE = "serving_default"

Images = npt.NDArray[np.uint8]


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
    for batch in _read(split_uri, image_shape):
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
    for batch in _read(split_uri, image_shape):
        for label, image in zip(batch.labels.tolist(), batch.images, strict=True):
            images = found.setdefault(label, [])
            if len(images) < count:
                images.append(image.copy())
        if len(found) == classes and all(len(images) == count for images in found.values()):
            break
    return dict(sorted(found.items()))


def _read(split_uri: str, image_shape: Shape) -> Iterator[Batch]:
    """Reads the examples of a split, sorted by file name."""
    files = sorted(tf.io.gfile.glob(f"{split_uri}/*"))
    if not files:
        raise ValueError(f"expected examples in {split_uri}, found no files")
    yield from read_batches(files, image_shape)
