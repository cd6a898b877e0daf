"""Image statistics that the schema bounds, because TFDV can't inspect pixels.

Each function takes uint8 images of shape (n, height, width, channels) and returns values of shape
(n,) in [0, 1].
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.dataset_definition import StatisticName
from models.definition import DATASET
from models.features import IMAGE_SHAPE

Images = npt.NDArray[np.uint8]
Values = npt.NDArray[np.floating]

BRIGHT = 128
"""Smallest uint8 value that counts as bright."""


def mean_intensity(images: Images) -> Values:
    """Mean pixel value, divided by 255."""
    return images.mean(axis=(1, 2, 3)) / 255


def contrast(images: Images) -> Values:
    """Standard deviation of the pixel values, divided by its maximum, 127.5."""
    # np.std would copy the images as float64.
    squares = np.square(images, dtype=np.uint16).mean(axis=(1, 2, 3))
    variance = squares - images.mean(axis=(1, 2, 3)) ** 2
    return np.sqrt(np.maximum(variance, 0)) / 127.5


def bright_fraction(images: Images) -> Values:
    """Fraction of pixel values that are bright."""
    return _bright_fraction(images.reshape(len(images), math.prod(images.shape[1:])))


def border_bright_fraction(images: Images) -> Values:
    """Fraction of bright values in the outermost ring of pixels."""
    _, height, width, channels = images.shape
    ring = np.ones((height, width), dtype=bool)
    ring[1:-1, 1:-1] = False
    indices = np.flatnonzero(np.repeat(ring, channels))
    return _bright_fraction(images.reshape(len(images), ring.size * channels)[:, indices])


def colorfulness(images: Images) -> Values:
    """Mean difference between a pixel's highest and lowest channel, divided by 255."""
    # Ten times as fast as reducing over the last axis.
    channels = np.moveaxis(images, 3, 0)
    spread = functools.reduce(np.maximum, channels) - functools.reduce(np.minimum, channels)
    return spread.mean(axis=(1, 2)) / 255


def _bright_fraction(values: npt.NDArray[np.uint8]) -> Values:
    """Reduces shape (n, values) to shape (n,)."""
    return np.count_nonzero(values >= BRIGHT, axis=1) / values.shape[1]


STATISTICS: dict[StatisticName, Callable[[Images], Values]] = {
    "mean_intensity": mean_intensity,
    "contrast": contrast,
    "bright_fraction": bright_fraction,
    "border_bright_fraction": border_bright_fraction,
    "colorfulness": colorfulness,
}


def describe_images(images: Images) -> dict[str, npt.NDArray[np.float32]]:
    """Computes the statistics listed in the data definition for a batch of images.

    Args:
      images: uint8 of shape (n, *IMAGE_SHAPE).

    Returns:
      One float32 array of shape (n,) in [0, 1] per statistic. Its key is also the name of the raw
      feature.

    Raises:
      ValueError: if the images have another shape or dtype.
    """
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(
            f"images must be uint8 of shape (n, {', '.join(map(str, IMAGE_SHAPE))}), received "
            f"{images.dtype} of shape {images.shape}"
        )
    return {name: STATISTICS[name](images).astype(np.float32) for name in DATASET.image_statistics}
