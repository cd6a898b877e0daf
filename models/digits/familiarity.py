"""Detects images that don't resemble handwritten digits, by distance to their nearest neighbors.

Classifiers are often confident about unknown shapes, such as letters. The distance to the nearest
training examples is an independent measure of novelty (Y. Sun et al., "Out-of-Distribution
Detection with Deep Nearest Neighbors", 2022).
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.digits.sample import load

_NEIGHBOR = 3  # Not the nearest: a single example may be unusual or mislabeled.

_Features = npt.NDArray[np.float32]


def strangeness(image: npt.NDArray[np.uint8]) -> float:
    """Measures how much an image differs from handwritten digits.

    Args:
      image: shape (28, 28), in MNIST's form, with some ink.

    Returns:
      A distance from 0 (identical) to 1: 1 minus the cosine similarity of the edge directions in
      the image and in the third nearest of 5,000 training images.
    """
    similarities = _examples() @ _directions(image[np.newaxis])[0]
    return float(1 - np.partition(similarities, -_NEIGHBOR)[-_NEIGHBOR])


@functools.cache
def _examples() -> _Features:
    """Returns the features of the training images. The first call takes a second."""
    images, _ = load()
    return _directions(images[..., 0])


def _directions(images: npt.NDArray[np.uint8]) -> _Features:
    """Describes images of shape (n, 28, 28) by the directions of their edges.

    Returns:
      Unit vectors, shape (n, 196): the brightness gradient toward the bottom, top, right and left
      in each of 7 x 7 overlapping fields.
    """
    blurred = ndimage.gaussian_filter(images.astype(np.float32), (0, 0.7, 0.7))
    down, right = np.gradient(blurred, axis=(1, 2))
    rises = np.maximum([down, -down, right, -right], 0)
    fields = ndimage.uniform_filter(rises, (0, 0, 5, 5))[:, :, 2::4, 2::4]
    vectors = fields.swapaxes(0, 1).reshape(len(images), -1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
