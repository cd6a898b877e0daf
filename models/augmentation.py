"""Random affine transformations of training images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from models.hyperparameters import Hyperparameters

_VARIANTS = 7


def augments(parameters: Hyperparameters) -> bool:
    """Whether `augment` changes images."""
    return any((parameters.rotation, parameters.zoom, parameters.shift, parameters.shear))


def augment(
    images: tf.Tensor, parameters: Hyperparameters, seed: Sequence[int | tf.Tensor]
) -> tf.Tensor:
    """Shifts, scales, rotates and shears each image by different random amounts.

    Pixels are interpolated bilinearly. Areas from outside the image are black.

    Args:
      images: float32 of shape (batch, height, width, channels).
      parameters: provides the largest `rotation`, `zoom`, `shift` and `shear`.
      seed: two integers. Equal seeds give equal images.

    Returns:
      float32 of the same shape, in the same range.
    """
    batch, height, width = tf.unstack(tf.shape(images)[:3])
    limits = [
        math.radians(parameters.rotation),
        parameters.zoom,
        parameters.zoom,
        parameters.shift,
        parameters.shift,
        parameters.shear,
    ]
    amounts = tf.random.stateless_uniform((batch, len(limits)), seed, -1, 1) * limits
    angle, zoom_x, zoom_y, shift_x, shift_y, shear = tf.unstack(amounts, axis=1)
    # The transformation maps each point of the output to a point of the input, around the center.
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x_by_x = cosine / (1 + zoom_x)
    x_by_y = (shear * cosine - sine) / (1 + zoom_x)
    y_by_x = sine / (1 + zoom_y)
    y_by_y = (shear * sine + cosine) / (1 + zoom_y)
    rows, columns = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    center_x, center_y = (columns - 1) / 2, (rows - 1) / 2
    x_offset = center_x * (1 - x_by_x) - center_y * x_by_y + shift_x * columns
    y_offset = center_y * (1 - y_by_y) - center_x * y_by_x + shift_y * rows
    zero = tf.zeros_like(angle)
    transforms = [x_by_x, x_by_y, x_offset, y_by_x, y_by_y, y_offset, zero, zero]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(transforms, axis=1),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def write_samples(images: tf.Tensor, parameters: Hyperparameters, file: Path) -> None:
    """Writes a PNG with one row for each image: the image, then random variants of it.

    Args:
      images: float32 of shape (n, height, width, channels), in [0, 1].
      parameters: as in `augment`.
      file: its directory is created if it doesn't exist.
    """
    variants = [augment(images, parameters, (parameters.seed, n)) for n in range(_VARIANTS)]
    rows = tf.unstack(tf.concat([images, *variants], axis=2))
    pixels = tf.cast(tf.round(255 * tf.concat(rows, axis=0)), tf.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    tf.io.write_file(str(file), tf.io.encode_png(pixels))
