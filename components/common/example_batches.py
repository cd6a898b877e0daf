"""Reads raw tf.Examples in batches, with one batch of images in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models.features import IMAGE, IMAGE_SHAPE, LABEL
from models.tf_data import without_autotuning

Shape = tuple[int, int, int]

_MOST_EXAMPLES = 512
_BATCH_BYTES = 16 << 20
"""Size of a batch of images. A model converts each byte to float32, which takes 64 MiB."""


class Batch(NamedTuple):
    """Serialized examples and their features.

    Attributes:
      serialized: string tensor of shape (n,).
      images: uint8 of shape (n, height, width, channels).
      labels: int64 of shape (n,).
    """

    serialized: tf.Tensor
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


class ImageSizeError(ValueError):
    """An image has another size. `received` is its number of bytes."""

    def __init__(self, received: int, image_shape: Shape) -> None:
        super().__init__(f"cannot reshape an image of {received} bytes into shape {image_shape}")
        self.received = received


def batch_size(image_shape: Shape, most: int = _MOST_EXAMPLES) -> int:
    """Returns the number of examples per batch: at most `most`, and at most 16 MiB of images."""
    return max(1, min(most, _BATCH_BYTES // math.prod(image_shape)))


def read_batches(
    files: Sequence[str], image_shape: Shape = IMAGE_SHAPE, most: int = _MOST_EXAMPLES
) -> Iterator[Batch]:
    """Reads gzipped TFRecord files of raw tf.Examples.

    Args:
      files: paths, in the order in which they are read.
      image_shape: height, width and channels.
      most: largest number of examples in a batch.

    Raises:
      ImageSizeError: if an image has another size.
      tf.errors.OpError: if a file is damaged, or an image or a label is missing.
    """
    spec = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.FixedLenFeature([], tf.int64),
    }
    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP")
    for serialized in without_autotuning(records.batch(batch_size(image_shape, most))):
        features = tf.io.parse_example(serialized, spec)
        labels = features[LABEL].numpy()
        values = features[IMAGE].numpy().tolist()
        if other := {len(value) for value in values} - {math.prod(image_shape)}:
            raise ImageSizeError(min(other), image_shape)
        pixels = np.frombuffer(b"".join(values), np.uint8)
        yield Batch(serialized, pixels.reshape(len(labels), *image_shape), labels)
