"""Brings any picture of one digit to MNIST's form: a photo, a scan, a screenshot or a drawing.

MNIST's own images were made the same way: the digit is scaled, with its proportions kept, to fit a
box of 20x20 pixels, and placed in 28x28 so that its center of mass is in the middle
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

_WORKING_SIDE = 512  # Longer side, in pixels, at which ink is looked for.
_MOST_STRANGENESS = 0.148
"""Chosen on validation images: `python tests/benchmarks/bench_digit_images.py --calibrate`."""
_TURNS = (0, 10, -10)  # Degrees: a digit stays the same digit, other shapes often change class.
_TURNED_SIDE = 80  # Longer side of the ink that is turned, in pixels.
_HALF = 128  # Of the brightness, and of opacity, of 8 bits.
_OWN_CONTRAST = 64  # What the visible part of a picture has if it is more than ink.


def to_mnist(picture: Image.Image) -> Prepared:
    """Brings a picture of a digit to MNIST's form (a `models.pictures.PicturePreprocessing`).

    The border shows whether the ink is dark or bright. Uneven light, shadows, noise, specks, ruled
    lines, frames, underlines and the desk around a sheet are removed.

    Args:
      picture: of mode L, RGB or RGBA and any size; one that has MNIST's form keeps its pixels.

    Returns:
      Views of shape (IMAGE_SIDE, IMAGE_SIDE, 1): the digit bright (255) on dark (0), its longer
      side BOX_SIDE, its center of mass in the middle; then the digit turned to either side. A
      picture in MNIST's form has only one view. There is a doubt if the picture shows several
      digits, or something that does not look like a digit.

    Raises:
      PictureError: if there is no ink.
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
    """Whether it could be one of MNIST, whose pixels are better than those of a new framing."""
    if pixels.shape != (IMAGE_SIDE, IMAGE_SIDE) or pixels.max() < _HALF:
        return False
    inked = [np.flatnonzero(pixels.any(axis=axis)) for axis in (0, 1)]
    centered = all(abs(center - IMAGE_SIDE / 2) <= 1 for center in _center_of_mass(pixels))
    return centered and max(np.ptp(places) for places in inked) + 1 == BOX_SIDE


def _center_of_mass(pixels: npt.NDArray[Any]) -> list[float]:
    """Row and column, counted from the outer edges of the first ones."""
    return [center + 0.5 for center in ndimage.center_of_mass(pixels.astype(np.float64))]


def _to_grayscale(picture: Image.Image) -> Image.Image:
    """Returns a copy in mode L; a fill for transparent parts keeps the visible ones visible.

    A picture with contrasts of its own, such as one with round corners, gets its own usual
    lightness; a picture of a single lightness is ink, and gets the opposite one.
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
    """Places the digit; never so that a part of it would be cut off."""
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    top, left = (
        min(max(round(IMAGE_SIDE / 2 - center), 0), IMAGE_SIDE - side)
        for center, side in zip(_center_of_mass(fitted), fitted.shape, strict=True)
    )
    height, width = fitted.shape
    image[top : top + height, left : left + width] = np.round(fitted * 255)
    return image
