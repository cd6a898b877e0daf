"""Scalars that describe an image's pixels, so that the schema can bound what TFDV can't see."""

import numpy as np

from models import features

_RING = np.ones((features.IMAGE_SIDE, features.IMAGE_SIDE), dtype=bool)
_RING[1:-1, 1:-1] = False


def describe_images(images: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the scalar features of a batch of images.

    Args:
      images: uint8 of shape (n, 28, 28, 1), ink high.

    Returns:
      float32 of shape (n,), in [0, 1], for each of `mean_intensity`, `ink_fraction` and
      `border_ink_fraction`, as `models.features` defines them.

    Raises:
      ValueError: the images are of another shape or dtype.
    """
    if images.dtype != np.uint8 or images.shape[1:] != features.IMAGE_SHAPE:
        raise ValueError(
            f"images must be uint8 of shape (n, 28, 28, 1), received {images.dtype} of shape "
            f"{images.shape}"
        )
    pixels = images[..., 0]
    inked = pixels >= features.INK_LEVEL
    statistics = {
        features.MEAN_INTENSITY: pixels.mean(axis=(1, 2)) / 255,
        features.INK_FRACTION: inked.mean(axis=(1, 2)),
        features.BORDER_INK_FRACTION: inked[:, _RING].mean(axis=1),
    }
    return {name: values.astype(np.float32) for name, values in statistics.items()}
