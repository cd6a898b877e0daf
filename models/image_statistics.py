"""Scalars that describe an image, so that the schema can bound what TFDV can't see.

Each function takes uint8 images of shape (n, height, width, channels) and returns one number per
image, in [0, 1].
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
"""A pixel of this uint8 value or more is bright."""


def mean_intensity(images: Images) -> Values:
    """Mean of all values over 255."""
    return images.mean(axis=(1, 2, 3)) / 255


def contrast(images: Images) -> Values:
    """Standard deviation of all values over 127.5, the largest that is possible."""
    # NumPy's own `std` copies the images as float64.
    squares = np.square(images, dtype=np.uint16).mean(axis=(1, 2, 3))
    variance = squares - images.mean(axis=(1, 2, 3)) ** 2
    return np.sqrt(np.maximum(variance, 0)) / 127.5


def bright_fraction(images: Images) -> Values:
    """Share of the values that are bright."""
    return _bright_share(images.reshape(len(images), math.prod(images.shape[1:])))


def border_bright_fraction(images: Images) -> Values:
    """Share of the values in the outermost ring of pixels that are bright."""
    _, height, width, channels = images.shape
    ring = np.ones((height, width), dtype=bool)
    ring[1:-1, 1:-1] = False
    places = np.flatnonzero(np.repeat(ring, channels))
    return _bright_share(images.reshape(len(images), ring.size * channels)[:, places])


def colorfulness(images: Images) -> Values:
    """Mean over the pixels of the difference between their highest and lowest channel, over 255."""
    # Ten times as fast as a reduction over the last axis.
    channels = np.moveaxis(images, 3, 0)
    spread = functools.reduce(np.maximum, channels) - functools.reduce(np.minimum, channels)
    return spread.mean(axis=(1, 2)) / 255


def _bright_share(values: npt.NDArray[np.uint8]) -> Values:
    """For shape (n, values), shape (n,)."""
    return np.count_nonzero(values >= BRIGHT, axis=1) / values.shape[1]


STATISTICS: dict[StatisticName, Callable[[Images], Values]] = {
    "mean_intensity": mean_intensity,
    "contrast": contrast,
    "bright_fraction": bright_fraction,
    "border_bright_fraction": border_bright_fraction,
    "colorfulness": colorfulness,
}


def describe_images(images: Images) -> dict[str, npt.NDArray[np.float32]]:
    """Computes the statistics that the data definition names, for a batch of images.

    Args:
      images: uint8 of shape (n, *IMAGE_SHAPE).

    Returns:
      float32 of shape (n,), in [0, 1], by name of the statistic, which is also the name of the
      raw feature.

    Raises:
      ValueError: the images are of another shape or dtype.
    """
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(
            f"images must be uint8 of shape (n, {', '.join(map(str, IMAGE_SHAPE))}), received "
            f"{images.dtype} of shape {images.shape}"
        )
    return {name: STATISTICS[name](images).astype(np.float32) for name in DATASET.image_statistics}
