"""Turns raw examples into what the network reads: the `preprocessing_fn` of a TFX Transform.

Training, evaluation and serving all run the graph that Transform makes of it. Nothing is analyzed
over the data set, because the range of a pixel is known.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from models.features import IMAGE, IMAGE_BYTES, IMAGE_SHAPE, LABEL

_MAX_PIXEL = 255.0


def preprocessing_fn(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Decodes raw images and passes labels through.

    Args:
      inputs: raw features of a batch, of which only these two are read:
        IMAGE: string of shape (batch,), each IMAGE_BYTES long.
        LABEL: int64 of shape (batch,).

    Returns:
      IMAGE: float32 of shape (batch, *IMAGE_SHAPE), in [0, 1]; LABEL: int64 of shape (batch,).

    Raises:
      tf.errors.InvalidArgumentError: in the graph, for an image of another length.
    """
    return {IMAGE: decode_raw_images(inputs[IMAGE]), LABEL: inputs[LABEL]}


def decode_raw_images(images: tf.Tensor) -> tf.Tensor:
    """Decodes string images (batch,), each IMAGE_BYTES long, to float32 (batch, *IMAGE_SHAPE)."""
    # decode_raw would silently pad or cut images of another length.
    tf.debugging.assert_equal(
        tf.strings.length(images),
        IMAGE_BYTES,
        message=f"Expected raw images of {IMAGE_BYTES} bytes, one for each value",
    )
    pixels = tf.io.decode_raw(images, tf.uint8, fixed_length=IMAGE_BYTES)
    return normalize_pixels(tf.reshape(pixels, (-1, *IMAGE_SHAPE)))


def normalize_pixels(pixels: tf.Tensor) -> tf.Tensor:
    """Maps pixels of any shape and numeric dtype from [0, 255] to float32 in [0, 1].

    Each value is the float32 nearest to the exact quotient, in any graph. A float32 division would
    differ in the last bit where TensorFlow's graph optimizer multiplies by the reciprocal instead.
    """
    return tf.cast(tf.cast(pixels, tf.float64) / _MAX_PIXEL, tf.float32)
