"""Features of single images that ImageValidator compares with the reference of their class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

GRID = 7
"""Rows and columns of cells that an image is divided into, or fewer in smaller images."""

TEXTURE = ("gradient", "curvature")
"""Names of the features after the cells."""


def grid_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Returns rows, columns and channels of the cells of an image."""
    height, width, channels = image_shape
    return min(GRID, height), min(GRID, width), channels


def describe(images: Images) -> Values:
    """Computes the features of each image.

    Args:
      images: uint8 of shape (n, height, width, channels).

    Returns:
      float64 of shape (n, cells + 2), in [0, 1]: the mean value of each cell, row by row, channels
      last; the mean absolute difference of adjacent pixels; and the mean absolute second
      difference. The last two change with noise, blur and scaling, even if the cells don't.
    """
    signed = images.astype(np.int16)
    texture = [
        sum(_mean_difference(signed, order, axis) for axis in (1, 2)) / (255 * 2 * order)
        for order in (1, 2)
    ]
    return np.column_stack([_cells(images), *texture])


def distance(cells: Values, mean: Values, deviation: Values) -> Values:
    """Returns the root mean square of each image's deviations from a mean image.

    Args:
      cells: features of the cells, of shape (n, cells).
      mean: their mean in the reference, of shape (cells,).
      deviation: their standard deviation in the reference, of shape (cells,), not zero.

    Returns:
      float64 of shape (n,).
    """
    return np.sqrt((((cells - mean) / deviation) ** 2).mean(axis=1))


def _cells(images: Images) -> Values:
    count, height, width, channels = images.shape
    rows, columns, _ = grid_shape(images.shape[1:])
    tops, lefts = (np.arange(n) * side // n for n, side in ((rows, height), (columns, width)))
    sums = np.add.reduceat(
        np.add.reduceat(images, tops, axis=1, dtype=np.uint32), lefts, axis=2, dtype=np.uint32
    )
    heights, widths = np.diff(tops, append=height), np.diff(lefts, append=width)
    areas = heights[:, np.newaxis, np.newaxis] * widths[:, np.newaxis]
    return (sums / (255.0 * areas)).reshape(count, rows * columns * channels)


def _mean_difference(signed: npt.NDArray[np.int16], order: int, axis: int) -> Values:
    """Returns 0 for images that are too small for the difference."""
    differences = np.abs(np.diff(signed, order, axis=axis))
    count = max(1, int(np.prod(differences.shape[1:])))
    return differences.sum(axis=(1, 2, 3), dtype=np.float64) / count
