"""Turns raw examples into network inputs: the `preprocessing_fn` of the TFX Transform.

Training, evaluation and serving all run the resulting transform graph. No full pass over the data
set is needed, because the range of pixel values is known.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from models.features import IMAGE, IMAGE_BYTES, IMAGE_SHAPE, LABEL

_MAX_PIXEL = 255.0


def preprocessing_fn(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Decodes raw images and passes labels through.

    Args:
      inputs: raw features of a batch. Only these two are read:
        IMAGE: string of shape (batch,), each IMAGE_BYTES long.
        LABEL: int64 of shape (batch,).

    Returns:
      IMAGE: float32 of shape (batch, *IMAGE_SHAPE), in [0, 1]; LABEL: int64 of shape (batch,).

    Raises:
      tf.errors.InvalidArgumentError: when the graph runs, if an image has another length.
    """
    return {IMAGE: decode_raw_images(inputs[IMAGE]), LABEL: inputs[LABEL]}


def decode_raw_images(images: tf.Tensor) -> tf.Tensor:
    """Decodes string images (batch,), each IMAGE_BYTES long, to float32 (batch, *IMAGE_SHAPE)."""
    # decode_raw would silently pad or truncate images of another length.
    tf.debugging.assert_equal(
        tf.strings.length(images),
        IMAGE_BYTES,
        message=f"Expected raw images of {IMAGE_BYTES} bytes, one per pixel value",
    )
    pixels = tf.io.decode_raw(images, tf.uint8, fixed_length=IMAGE_BYTES)
    return normalize_pixels(tf.reshape(pixels, (-1, *IMAGE_SHAPE)))


def normalize_pixels(pixels: tf.Tensor) -> tf.Tensor:
    """Maps pixels of any shape and numeric dtype from [0, 255] to float32 in [0, 1].

    Each value is the float32 nearest to the exact quotient, in any graph. With a float32 division,
    the last bit would differ where TensorFlow's graph optimizer multiplies by the reciprocal.
    """
    return tf.cast(tf.cast(pixels, tf.float64) / _MAX_PIXEL, tf.float32)
