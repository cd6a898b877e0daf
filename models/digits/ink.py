"""Detects ink in pictures of handwriting, even in uneven light, on ruled paper or on a desk.

Ink consists of small areas that contrast with their surroundings. A sheet of paper on a darker desk
is cropped first, and the lines of ruled or squared paper are removed last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.pictures import PictureError

Ink = npt.NDArray[np.float32]
"""Shape (height, width), 0 (none) to 1 (full)."""

_Mask = npt.NDArray[np.bool_]

EDGE_LEVEL = 0.2
"""Pixels with at least this much ink belong to a stroke."""

_LEAST_CONTRAST = 0.08  # Between ink and background, on a scale of 0 to 1.
_NOISE_DEVIATIONS = 5.0  # Ink exceeds this many standard deviations of the paper's noise.
_DEVIATION = 1.4826  # Standard deviation of normal noise, in median absolute deviations.

_MOST_NOISE = 0.05  # Standard deviation between neighboring pixels; noisier pictures are blurred.
_LEAST_BLURRED = 112  # Longer side of the smallest picture that is blurred, in pixels.
_BLUR = 1.2  # Standard deviation of the blur, in pixels.

_LEAST_SHEET = 0.2  # Smallest area of a sheet, as a share of the picture.
_SHEET_SOLIDITY = 0.75  # Smallest share of a sheet without ink; a light 0 has less.
_SHEET_RECTANGULARITY = 0.85  # Smallest share of its bounding rectangle; an ellipse has 0.79.
_SHEET_MARGIN = 0.015  # Trimmed from the sheet's edges, as a share of the picture's longer side.

_SLOPES = np.linspace(-0.08, 0.08, 33)  # Slopes of ruled lines that are tried.
_LEAST_LINES = 3
_LINE_COVERAGE = 0.5  # Smallest visible share of a ruled line, relative to the picture's width.
_LINE_THICKNESS = 0.03  # Largest thickness, as a share of the picture's longer side.
_LINE_PERCENTILE = 60  # A line's strength is this percentile of the ink in its rows.
_LINE_EXCESS = 1.6  # Multiple of its strength that is subtracted, because grain varies the ink.


def find_ink(pixels: npt.NDArray[np.uint8]) -> Ink:
    """Separates ink from its background.

    Args:
      pixels: grayscale, of any size.

    Returns:
      The amount of ink at each pixel; the maximum is 1. If the picture shows a sheet of paper, the
      result is cropped to it. Otherwise it has the shape of `pixels`.

    Raises:
      PictureError: if no ink is found.
    """
    values = _cut_out_sheet(_without_grain(pixels.astype(np.float32) / 255))
    if _is_dark_on_light(values):
        values = 1 - values
    contrast = _contrast(values)
    floor = _noise_floor(contrast)
    ink = _without_ruling(_without_ruling(np.clip(contrast - floor, 0, 1)).T).T
    peak = float(np.percentile(ink[ink > 0], 95)) if ink.any() else 0.0
    if peak + floor < max(_LEAST_CONTRAST, 1.5 * floor):
        raise PictureError(
            "No digit found in the picture: draw or photograph one on an even background."
        )
    return np.clip(ink / peak, 0, 1)


def border(shape: tuple[int, ...]) -> _Mask:
    """Returns a mask of the outermost rows and columns."""
    mask = np.ones(shape, bool)
    mask[1:-1, 1:-1] = False
    return mask


def _without_grain(values: Ink) -> Ink:
    """Blurs a noisy picture slightly, unless it is too small to blur."""
    if max(values.shape) < _LEAST_BLURRED:
        return values
    steps = np.abs(np.diff(values, axis=1))
    deviation = _DEVIATION / np.sqrt(2) * float(np.median(steps)) if steps.size else 0.0
    return ndimage.gaussian_filter(values, _BLUR) if deviation > _MOST_NOISE else values


def _cut_out_sheet(values: Ink) -> Ink:
    """Crops the picture to a light sheet of paper on a darker desk or in a dark frame.

    Areas of its bounding box outside the sheet get the brightness of the paper nearby.
    """
    light = values > _otsu(values)
    parts, count = ndimage.label(light)
    if not count:
        return values
    sheet = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    filled = ndimage.binary_fill_holes(sheet)
    if not _is_sheet(sheet, filled):
        return values
    margin = max(2, round(_SHEET_MARGIN * max(values.shape)))
    inner = ndimage.minimum_filter(filled, 2 * margin + 1, mode="nearest")
    if not inner.any():
        return values
    (box,) = ndimage.find_objects(inner, max_label=1)
    nearest = ndimage.distance_transform_edt(
        ~inner[box], return_distances=False, return_indices=True
    )
    return values[box][tuple(nearest)]


def _is_sheet(sheet: _Mask, filled: _Mask) -> bool:
    """Whether a light region is a rectangle with ink on it, surrounded on most sides."""
    area = int(filled.sum())
    ink = area - int(sheet.sum())
    if area < _LEAST_SHEET * filled.size or not 0 < ink < (1 - _SHEET_SOLIDITY) * area:
        return False
    corners = filled[[0, 0, -1, -1], [0, -1, 0, -1]]
    return bool(corners.sum() <= 1 and area >= _SHEET_RECTANGULARITY * _rectangle_around(filled))


def _rectangle_around(mask: _Mask) -> float:
    """Returns the area of the smallest rectangle around a region, rotated in steps of 3 degrees."""
    rows, columns = np.nonzero(mask & ~ndimage.binary_erosion(mask))
    angles = np.radians(np.arange(0, 90, 3))[:, np.newaxis]
    across = rows * np.cos(angles) - columns * np.sin(angles)
    along = rows * np.sin(angles) + columns * np.cos(angles)
    return float(((np.ptp(across, axis=1) + 1) * (np.ptp(along, axis=1) + 1)).min())


def _otsu(values: Ink) -> float:
    """Returns the threshold that best separates values in [0, 1] into two groups (Otsu, 1979)."""
    counts, edges = np.histogram(values, 256, (0, 1))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centers)
    above = below[-1] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.argmax(np.nan_to_num(apart)))])


def _is_dark_on_light(values: Ink) -> bool:
    """Whether pixels deviate further below than above a plane fitted to the border."""
    height, width = values.shape
    rows, columns = np.mgrid[0:height, 0:width]
    terms = np.stack([np.ones_like(values), rows / height, columns / width], axis=-1)
    edge = border(values.shape)
    plane, *_ = np.linalg.lstsq(terms[edge], values[edge], rcond=None)
    rest = values - terms @ plane
    return bool(-rest.min() > rest.max())


def _contrast(values: Ink) -> Ink:
    """How far bright strokes stand out, as a share of the most that their background allows."""
    background = _opening(values)
    return np.clip((values - background) / np.maximum(1 - background, 0.1), 0, 1)


def _noise_floor(contrast: Ink) -> float:
    """The most contrast that the paper's noise has."""
    paper = contrast[contrast <= _otsu(contrast)]
    usual = float(np.median(paper))
    return usual + _NOISE_DEVIATIONS * _DEVIATION * float(np.median(np.abs(paper - usual)))


def _opening(values: Ink) -> Ink:
    """Removes bright strokes that are narrower than a third of the picture."""
    half = max(7, max(values.shape) // 3) // 2
    size = 2 * half + 1
    low = ndimage.minimum_filter(values, size, mode="nearest")
    # Pads by extrapolation, so that a brightness gradient continues beyond the edges.
    kind: dict[str, Any] = {"mode": "reflect", "reflect_type": "odd"}
    beyond = np.pad(low, half, **(kind if min(low.shape) > half else {"mode": "edge"}))
    high = ndimage.maximum_filter(beyond, size)[half:-half, half:-half]
    return np.minimum(high, values)


def _without_ruling(ink: Ink) -> Ink:
    """Removes parallel, nearly horizontal lines across the picture, if at least _LEAST_LINES exist.

    Only the strength of the line is subtracted, so stronger strokes that cross it remain. Gaps in
    strokes that are as faint as the line are filled from above and below.
    """
    inked = ink > 0
    if not inked.any():
        return ink
    rows = _straightened_rows(inked)
    is_line = _find_lines(inked, rows)
    runs, count = ndimage.label(is_line)
    if count < _LEAST_LINES:
        return ink
    levels = np.zeros(is_line.size, np.float32)
    index = np.flatnonzero(is_line)
    levels[index] = ndimage.labeled_comprehension(
        ink, rows, index, lambda values: np.percentile(values, _LINE_PERCENTILE), np.float32, 0
    )
    on_line = is_line[rows]
    rest = np.where(on_line, np.clip(ink - _LINE_EXCESS * levels[rows], 0, 1), ink)
    thickness = int(np.bincount(runs)[1:].max())
    closed = ndimage.grey_closing(rest, (thickness + 2, 1))
    return np.where(on_line, closed, rest)


def _straightened_rows(inked: _Mask) -> npt.NDArray[np.int64]:
    """Returns each pixel's row after the shear that concentrates the ink in the fewest rows."""
    rows, columns = (places[:: max(1, inked.sum() // 20_000)] for places in np.nonzero(inked))

    def concentration(slope: float) -> float:
        places = np.round(rows + slope * columns).astype(np.int64)
        return float((np.bincount(places - places.min()).astype(float) ** 2).sum())

    slope = max(_SLOPES, key=concentration)
    height, width = inked.shape
    straight = np.round(np.arange(height)[:, np.newaxis] + slope * np.arange(width))
    return (straight - straight.min()).astype(np.int64)


def _find_lines(inked: _Mask, rows: npt.NDArray[np.int64]) -> _Mask:
    """Returns for each straightened row whether it belongs to a long, thin line."""
    long = np.bincount(rows[inked], minlength=int(rows.max()) + 1) >= (
        _LINE_COVERAGE * inked.shape[1]
    )
    most = max(3, round(_LINE_THICKNESS * max(inked.shape)))
    thin = long & ~ndimage.binary_opening(long, np.ones(most + 1, bool))
    return ndimage.binary_dilation(thin)
