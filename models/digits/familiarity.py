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
      1 minus the cosine similarity to the third nearest of 5,000 training images, both blurred: 0
      for an image like them, up to 1.
    """
    similarities = _examples() @ _features(image[np.newaxis])[0]
    return float(1 - np.partition(similarities, -_NEIGHBOR)[-_NEIGHBOR])


@functools.cache
def _examples() -> _Features:
    """Takes half a second, once."""
    images, _ = load()
    return _features(images[..., 0])


def _features(images: npt.NDArray[np.uint8]) -> _Features:
    """Blurs images to 14 x 14 pixels, and scales each to a vector of length 1."""
    blurred = ndimage.gaussian_filter(images.astype(np.float32), (0, 1, 1))
    vectors = blurred.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
