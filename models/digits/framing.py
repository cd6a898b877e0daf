"""Brings any picture of one digit to MNIST's form: a photo, a scan, a screenshot or a drawing.

MNIST's own images were made the same way: the digit is scaled, with its proportions kept, to fit a
box of 20x20 pixels, and placed in 28x28 so that its center of mass is in the middle
(http://yann.lecun.com/exdb/mnist/). The picture should show one digit on an even background.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from models.pictures import PictureError

IMAGE_SIDE = 28
"""Height and width of an image of MNIST, in pixels."""

BOX_SIDE = 20
"""Longer side of the digit, in pixels."""

_Ink = npt.NDArray[np.float32]
"""Shape (height, width), 0 (none) to 1 (full)."""

_WORKING_SIDE = 512  # Longer side, in pixels, at which ink is looked for.
_LEAST_CONTRAST = 0.08  # Of ink to its background, of 1.
_NOISE_DEVIATIONS = 5.0  # Of the paper's noise; ink is stronger.
_HALF = 128  # Of the brightness, and of opacity, of 8 bits.
_OWN_CONTRAST = 64  # What the visible part of a picture has if it is more than ink.
_EDGE_LEVEL = 0.2  # Least ink at the digit's edges.
_PART_SHARE = 0.1  # Of the heaviest part's ink: what has less is no part of the digit.
_INNER_SHARE = 0.2  # Likewise: what is inside and has as much is the digit.


def to_mnist(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Brings a picture of a digit to MNIST's form (a `models.pictures.PicturePreprocessing`).

    The border shows whether the ink is dark or bright. Uneven light, shadows, noise and specks are
    removed.

    Args:
      picture: of mode L, RGB or RGBA and any size; one that has MNIST's form keeps its pixels.

    Returns:
      Shape (IMAGE_SIDE, IMAGE_SIDE, 1): the digit bright (255) on dark (0), its longer side
      BOX_SIDE, its center of mass in the middle.

    Raises:
      PictureError: if there is no ink.
    """
    gray = _to_grayscale(picture)
    if _is_in_form(np.asarray(gray)):
        return np.array(gray)[..., np.newaxis]
    gray.thumbnail((_WORKING_SIDE, _WORKING_SIDE), Image.Resampling.BOX)
    ink = _crop(find_ink(np.asarray(gray)))
    return _center(_fit(ink))[..., np.newaxis]


def _is_in_form(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether it could be one of MNIST, whose pixels mean more than what is made of them anew."""
    if pixels.shape != (IMAGE_SIDE, IMAGE_SIDE) or pixels.max() < _HALF:
        return False
    inked = [np.flatnonzero(pixels.any(axis=axis)) for axis in (0, 1)]
    centered = all(abs(center - IMAGE_SIDE / 2) <= 1 for center in _center_of_mass(pixels))
    return centered and max(np.ptp(places) for places in inked) + 1 == BOX_SIDE


def _center_of_mass(pixels: npt.NDArray[Any]) -> list[float]:
    """Row and column, counted from the outer edges of the first ones."""
    masses = [pixels.sum(axis=axis, dtype=np.float64) for axis in (1, 0)]
    return [float((mass * (np.arange(mass.size) + 0.5)).sum() / mass.sum()) for mass in masses]


def _to_grayscale(picture: Image.Image) -> Image.Image:
    """Returns a copy in mode L; a fill for transparent parts keeps the visible ones visible."""
    if picture.mode == "RGBA":
        return _opaque(picture)
    return picture.convert("L").copy()


def _opaque(image: Image.Image) -> Image.Image:
    """Fills what is transparent.

    A picture with contrasts of its own, such as one with round corners, gets its own usual
    lightness; what is all of one lightness is ink, and gets the opposite one.
    """
    gray = image.convert("RGB").convert("L")
    alpha = image.getchannel("A")
    visible = np.asarray(gray)[np.asarray(alpha) >= _HALF]
    if not visible.size:
        return Image.new("L", image.size)
    low, usual, high = np.percentile(visible, [5, 50, 95])
    opposite = 255 if usual < _HALF else 0
    fill = round(usual) if high - low >= _OWN_CONTRAST else opposite
    return Image.composite(gray, Image.new("L", image.size, fill), alpha)


def find_ink(pixels: npt.NDArray[np.uint8]) -> _Ink:
    """Tells ink from its background.

    Args:
      pixels: grayscale, of any size.

    Returns:
      How much ink there is at each pixel, of the same shape, 1 where it is strongest.

    Raises:
      PictureError: if there is none.
    """
    values = pixels.astype(np.float32) / 255
    if _is_dark_on_light(values):
        values = 1 - values
    background = _opening(values)
    ink = np.clip((values - background) / np.maximum(1 - background, 0.1), 0, 1)
    paper = ink[ink <= _otsu(ink)]
    usual = float(np.median(paper))
    floor = usual + _NOISE_DEVIATIONS * 1.4826 * float(np.median(np.abs(paper - usual)))
    inked = ink[ink > floor]
    peak = float(np.percentile(inked, 95)) if inked.size else 0.0
    if peak < max(_LEAST_CONTRAST, 1.5 * floor):
        raise PictureError(
            "No digit found in the picture: draw or photograph one on an even background."
        )
    return _without_specks(np.clip((ink - floor) / (peak - floor), 0, 1))


def _otsu(values: _Ink) -> float:
    """The level that best parts values of 0 to 1 in two (N. Otsu, 1979)."""
    counts, edges = np.histogram(values, 256, (0, 1))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centers)
    above = below[-1] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.argmax(np.nan_to_num(apart)))])


def _is_dark_on_light(values: _Ink) -> bool:
    """By whether it departs further downwards or upwards from the light that its border shows."""
    height, width = values.shape
    rows, columns = np.mgrid[0:height, 0:width]
    terms = np.stack([np.ones_like(values), rows / height, columns / width], axis=-1)
    border = _border(values.shape)
    plane, *_ = np.linalg.lstsq(terms[border], values[border], rcond=None)
    rest = values - terms @ plane
    return bool(-rest.min() > rest.max())


def _border(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """True in the outermost rows and columns."""
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    return border


def _opening(values: _Ink) -> _Ink:
    """What is left without bright strokes that are narrower than a third of the picture."""
    half = max(7, max(values.shape) // 3) // 2
    size = 2 * half + 1
    low = ndimage.minimum_filter(values, size, mode="nearest")
    # Light that changes evenly goes on to do so beyond the edges.
    kind: dict[str, Any] = {"mode": "reflect", "reflect_type": "odd"}
    beyond = np.pad(low, half, **(kind if min(low.shape) > half else {"mode": "edge"}))
    high = ndimage.maximum_filter(beyond, size)[half:-half, half:-half]
    return np.minimum(high, values)


def _without_specks(ink: _Ink) -> _Ink:
    """Keeps the digit's parts: the heaviest one, and those that weigh a part of it.

    What touches the border, such as an edge of a shadow, is kept only if nothing of weight is
    inside.
    """
    parts, count = ndimage.label(ink > _EDGE_LEVEL, np.ones((3, 3)))
    weights = ndimage.sum_labels(ink, parts, np.arange(count + 1))
    weights[0] = 0
    inner = weights.copy()
    inner[parts[_border(ink.shape)]] = 0
    if inner.max() >= _INNER_SHARE * weights.max():
        weights = inner
    kept = (weights >= _PART_SHARE * weights.max()) & (weights > 0)
    near = ndimage.binary_dilation(kept[parts], iterations=2)  # With the soft edges.
    return np.where(near, ink, 0)


def _crop(ink: _Ink) -> _Ink:
    rows, columns = (np.flatnonzero((ink > _EDGE_LEVEL).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fit(ink: _Ink) -> _Ink:
    scale = BOX_SIDE / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    resized = Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC)
    fitted = np.clip(np.asarray(resized), 0, 1)
    return fitted / fitted.max()


def _center(fitted: _Ink) -> npt.NDArray[np.uint8]:
    """Places the digit; never so that a part of it would be cut off."""
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    top, left = (
        min(max(round(IMAGE_SIDE / 2 - center), 0), IMAGE_SIDE - side)
        for center, side in zip(_center_of_mass(fitted), fitted.shape, strict=True)
    )
    height, width = fitted.shape
    image[top : top + height, left : left + width] = np.round(fitted * 255)
    return image
