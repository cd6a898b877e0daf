"""Converts a picture of one digit (photo, scan, screenshot or drawing) to MNIST's form.

Follows the procedure that created MNIST: the digit is scaled to fit a box of 20x20 pixels,
preserving its aspect ratio, and its center of mass is placed in the middle of a 28x28 image
(http://yann.lecun.com/exdb/mnist/).

`models.digits.ink` finds the ink, `models.digits.parts` picks the digit's parts, and
`models.digits.familiarity` compares the result with handwritten digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from models.digits.familiarity import strangeness
from models.digits.ink import Ink, find_ink
from models.digits.parts import crop, pick_digit
from models.pictures import Prepared

IMAGE_SIDE = 28
"""Height and width of an image of MNIST, in pixels."""

BOX_SIDE = 20
"""Longer side of the digit, in pixels."""

_WORKING_SIDE = 512  # Longer side of the picture in which ink is detected, in pixels.
_MOST_STRANGENESS = 0.148
"""Chosen on validation images: `python tests/benchmarks/bench_digit_images.py --calibrate`."""
_TURNS = (0, 10, -10)  # Degrees. Rotation rarely changes the class of a digit, unlike other shapes.
_TURNED_SIDE = 80  # Longer side of the ink before rotation, in pixels.
_HALF = 128  # Half of the 8-bit range of brightness and opacity.
_OWN_CONTRAST = 64  # Least contrast of a visible part that has both ink and background.


def to_mnist(picture: Image.Image) -> Prepared:
    """Converts a picture of a digit to MNIST's form (a `models.pictures.PicturePreprocessing`).

    The brightness of the border determines whether the ink is dark or light. Uneven light,
    shadows, noise, specks, ruled lines, frames, underlines and the desk around a sheet are removed.

    Args:
      picture: mode L, RGB or RGBA, any size. A picture in MNIST's form keeps its pixels.

    Returns:
      Views of shape (IMAGE_SIDE, IMAGE_SIDE, 1), with a light digit (255) on a dark background
      (0), its longer side BOX_SIDE and its center of mass in the middle: first upright, then
      rotated to either side. A picture in MNIST's form has only one view. `doubt` is set if the
      picture shows several digits, or something that doesn't look like a digit.

    Raises:
      PictureError: if the picture has no ink.
    """
    gray = _to_grayscale(picture)
    if _is_in_form(np.asarray(gray)):
        return Prepared(np.asarray(gray)[np.newaxis, ..., np.newaxis])
    gray.thumbnail((_WORKING_SIDE, _WORKING_SIDE), Image.Resampling.BOX)
    ink, doubt = pick_digit(find_ink(np.asarray(gray)))
    views = np.stack([_center(_fit(_turn(ink, degrees))) for degrees in _TURNS])
    if not doubt and strangeness(views[0]) > _MOST_STRANGENESS:
        doubt = "unlike any handwritten digit"
    return Prepared(views[..., np.newaxis], doubt)


def _is_in_form(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether the image already has MNIST's form, so that framing could only degrade it."""
    if pixels.shape != (IMAGE_SIDE, IMAGE_SIDE) or pixels.max() < _HALF:
        return False
    inked = [np.flatnonzero(pixels.any(axis=axis)) for axis in (0, 1)]
    centered = all(abs(center - IMAGE_SIDE / 2) <= 1 for center in _center_of_mass(pixels))
    return centered and max(np.ptp(places) for places in inked) + 1 == BOX_SIDE


def _center_of_mass(pixels: npt.NDArray[Any]) -> list[float]:
    """Returns row and column, measured from the top left corner."""
    return [center + 0.5 for center in ndimage.center_of_mass(pixels.astype(np.float64))]


def _to_grayscale(picture: Image.Image) -> Image.Image:
    """Returns a copy in mode L, with transparent parts filled.

    If the visible part has contrast, such as a picture with rounded corners, the fill is its median
    lightness. Otherwise the visible part is ink, and the fill is the opposite lightness.
    """
    gray = picture.convert("L")
    if picture.mode != "RGBA":
        return gray
    alpha = picture.getchannel("A")
    visible = np.asarray(gray)[np.asarray(alpha) >= _HALF]
    if not visible.size:
        return Image.new("L", picture.size)
    low, usual, high = np.percentile(visible, [5, 50, 95])
    opposite = 255 if usual < _HALF else 0
    fill = round(usual) if high - low >= _OWN_CONTRAST else opposite
    return Image.composite(gray, Image.new("L", picture.size, fill), alpha)


def _turn(ink: Ink, degrees: float) -> Ink:
    if not degrees:
        return ink
    image = Image.fromarray(ink)
    image.thumbnail((_TURNED_SIDE, _TURNED_SIDE), Image.Resampling.BOX)
    return crop(np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR, expand=True)))


def _fit(ink: Ink) -> Ink:
    scale = BOX_SIDE / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    resized = Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC)
    fitted = np.clip(np.asarray(resized), 0, 1)
    return fitted / fitted.max()


def _center(fitted: Ink) -> npt.NDArray[np.uint8]:
    """Moves the center of mass to the middle, as far as possible without cropping the digit."""
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    top, left = (
        min(max(round(IMAGE_SIDE / 2 - center), 0), IMAGE_SIDE - side)
        for center, side in zip(_center_of_mass(fitted), fitted.shape, strict=True)
    )
    height, width = fitted.shape
    image[top : top + height, left : left + width] = np.round(fitted * 255)
    return image
