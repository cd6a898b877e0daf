"""Reads examples, and asks a model about them, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.report.predictions import Floats, Shown, WorstMistakes
from models.features import IMAGE, IMAGE_SHAPE, LABEL, NUM_CLASSES, PROBABILITIES

SAMPLES = 5
MISTAKES = 25
_BATCH = 512
_SIGNATURE = "serving_default"


class Batch(NamedTuple):
    """Examples as they are stored, and what they hold.

    Attributes:
      serialized: string tensor of shape (n,).
      images: uint8 of shape (n, IMAGE_SIDE, IMAGE_SIDE).
      labels: int64 of shape (n,).
    """

    serialized: tf.Tensor
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


class Asked(NamedTuple):
    """A model's answers to a split.

    Attributes:
      labels: int64 of shape (n,).
      probabilities: float32 of shape (n, NUM_CLASSES).
      samples: the first examples.
      mistakes: the wrong answers with the highest confidence, that first.
    """

    labels: npt.NDArray[np.int64]
    probabilities: Floats
    samples: list[Shown]
    mistakes: list[Shown]


def ask_model(model_dir: Path, split_uri: str) -> Asked:
    """Asks a SavedModel about each example of a split, once; memory holds a batch of images.

    Args:
      model_dir: the SavedModel.
      split_uri: directory of gzipped TFRecords of raw tf.Examples.

    Raises:
      ValueError: if there are no examples.
    """
    signature = tf.saved_model.load(str(model_dir)).signatures[_SIGNATURE]
    worst = WorstMistakes(MISTAKES)
    samples: list[Shown] = []
    labels, answers = [], []
    seen = 0
    for batch in read_batches(split_uri):
        probabilities = signature(examples=batch.serialized)[PROBABILITIES].numpy()
        worst.add(seen, batch.labels, batch.images, probabilities)
        samples += [
            Shown(seen + i, int(batch.labels[i]), batch.images[i], probabilities[i])
            for i in range(min(SAMPLES - len(samples), len(batch.labels)))
        ]
        labels.append(batch.labels)
        answers.append(probabilities)
        seen += len(batch.labels)
    return Asked(np.concatenate(labels), np.concatenate(answers), samples, worst.kept)


def first_of_each_class(split_uri: str, count: int) -> dict[int, list[npt.NDArray[np.uint8]]]:
    """The first images of each digit; fewer where there are fewer, and none of an absent digit."""
    found: dict[int, list[npt.NDArray[np.uint8]]] = {}
    for batch in read_batches(split_uri):
        for label, image in zip(batch.labels.tolist(), batch.images, strict=True):
            images = found.setdefault(label, [])
            if len(images) < count:
                images.append(image)
        if len(found) == NUM_CLASSES and all(len(images) == count for images in found.values()):
            break
    return dict(sorted(found.items()))


def read_batches(split_uri: str) -> Iterator[Batch]:
    """Reads raw tf.Examples of gzipped TFRecords, file by file in the order of their names.

    Raises:
      ValueError: if there are no files.
    """
    spec = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.FixedLenFeature([], tf.int64),
    }
    files = sorted(tf.io.gfile.glob(f"{split_uri}/*"))
    if not files:
        raise ValueError(f"expected examples in {split_uri}, found no files")
    for serialized in tf.data.TFRecordDataset(files, compression_type="GZIP").batch(_BATCH):
        features = tf.io.parse_example(serialized, spec)
        pixels = np.frombuffer(b"".join(features[IMAGE].numpy()), np.uint8)
        yield Batch(serialized, pixels.reshape(-1, *IMAGE_SHAPE[:2]), features[LABEL].numpy())
