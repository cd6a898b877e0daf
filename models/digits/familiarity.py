"""Tells whether an image resembles handwritten digits, by its nearest neighbors among examples.

A classifier is confident about shapes that it has never seen, such as letters. The distance to the
nearest training examples is an independent measure of how strange a shape is (Y. Sun and others,
"Out-of-Distribution Detection with Deep Nearest Neighbors", 2022).
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.digits.sample import load

_NEIGHBOR = 3  # A single example may be odd, or mislabeled.

_Features = npt.NDArray[np.float32]


def strangeness(image: npt.NDArray[np.uint8]) -> float:
    """Measures how little an image resembles the examples.

    Args:
      image: shape (28, 28), in MNIST's form, not empty.

    Returns:
      1 minus the cosine similarity of the strokes' directions to those of the third nearest of
      5,000 training images: 0 for an image like them, up to 1.
    """
    similarities = _examples() @ _directions(image[np.newaxis])[0]
    return float(1 - np.partition(similarities, -_NEIGHBOR)[-_NEIGHBOR])


@functools.cache
def _examples() -> _Features:
    """Takes a second, once."""
    images, _ = load()
    return _directions(images[..., 0])


def _directions(images: npt.NDArray[np.uint8]) -> _Features:
    """Describes images, of shape (n, 28, 28), by the directions of their edges.

    Returns:
      Shape (n, 196), vectors of length 1: how much brightness rises to the bottom, top, right and
      left in each of 7 x 7 overlapping fields.
    """
    blurred = ndimage.gaussian_filter(images.astype(np.float32), (0, 0.7, 0.7))
    down, right = np.gradient(blurred, axis=(1, 2))
    rises = np.maximum([down, -down, right, -right], 0)
    fields = ndimage.uniform_filter(rises, (0, 0, 5, 5))[:, :, 2::4, 2::4]
    vectors = fields.swapaxes(0, 1).reshape(len(images), -1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
