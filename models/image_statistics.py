"""Scalars that describe an image, so that the schema can bound what TFDV can't see.

Each function takes uint8 images of shape (n, height, width, channels) and returns one number per
image, in [0, 1].
"""

from __future__ import annotations

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
    return images.std(axis=(1, 2, 3)) / 127.5


def bright_fraction(images: Images) -> Values:
    """Share of the values that are bright."""
    return (images >= BRIGHT).mean(axis=(1, 2, 3))


def border_bright_fraction(images: Images) -> Values:
    """Share of the values in the outermost ring of pixels that are bright."""
    ring = np.ones(images.shape[1:3], dtype=bool)
    ring[1:-1, 1:-1] = False
    return (images[:, ring] >= BRIGHT).mean(axis=(1, 2))


def colorfulness(images: Images) -> Values:
    """Mean over the pixels of the distance between their channels over 255; 0 for gray."""
    return np.ptp(images, axis=3).mean(axis=(1, 2)) / 255


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
