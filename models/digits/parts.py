"""Selects the parts of the ink that form the digit, and detects pictures without a single digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.digits.ink import EDGE_LEVEL, Ink, border

# Shares of the heaviest part's ink:
_PART_SHARE = 0.1  # Smallest part of the digit.
_SPECK_SHARE = 0.02  # Smaller parts are ignored from the start.
_INNER_SHARE = 0.2  # Inner parts with at least this much ink take precedence over the border.

_MOST_COMPARED = 100  # Number of parts, because each is compared with each.
_MOST_HOLES = 3  # An 8 has 2, and a curl may add one.
_LEAST_HOLE = 0.004  # Smallest hole, as a share of the area of the digit's bounding box.
_HOLE_LEVEL = 0.4  # Largest amount of ink in a hole.
_SOLID_LEVEL = 0.5  # Smallest amount of ink inside a stroke.
_MOST_HALF_WIDTH = 0.23  # Half the width of a stroke, as a share of the digit's longer side.
# Limits for two parts that are digits of one number:
_LIKE_HEIGHT = 0.5  # Smallest height of the shorter part, relative to the taller one.
_SHARED_HEIGHT = 0.5  # Smallest vertical overlap, relative to the shorter part.
_MOST_OVERLAP = 0.25  # Largest horizontal overlap, when slanted, relative to the narrower part.


@dataclass(frozen=True)
class _Part:
    """A connected region of ink, with half-open bounds in pixels."""

    number: int
    weight: float
    top: int
    bottom: int
    left: int
    right: int
    on_border: bool
    hollow: bool

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def pick_digit(ink: Ink) -> tuple[Ink, str]:
    """Keeps the parts of the digit: the heaviest part, and others with enough ink.

    Parts that touch the border, such as the edge of a shadow, are kept only if there is no
    significant ink inside. Frames around the digit and lines below it are removed.

    Args:
      ink: not empty.

    Returns:
      The digit's ink, cropped, and the doubt: a clause such as "more than one digit", or "".
    """
    labels, parts = _find_parts(ink)
    parts = [part for part in parts if not _is_frame(part, parts)]
    inner = [part for part in parts if not part.on_border]
    if _heaviest(inner) >= _INNER_SHARE * _heaviest(parts):
        parts = inner
    parts = [part for part in parts if not _is_underline(part, parts)]
    parts = [part for part in parts if part.weight >= _PART_SHARE * _heaviest(parts)]
    mask = np.isin(labels, [part.number for part in parts])
    near = ndimage.binary_dilation(mask, iterations=2)  # Includes soft edges.
    digit = crop(np.where(near, ink, 0))
    return digit, _doubt(digit, parts)


def _heaviest(parts: list[_Part]) -> float:
    return max((part.weight for part in parts), default=0)


def _find_parts(ink: Ink) -> tuple[npt.NDArray[np.int32], list[_Part]]:
    labels, count = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    weights = ndimage.sum_labels(ink, labels, np.arange(1, count + 1))
    on_border = set(np.unique(labels[border(ink.shape)]))
    boxes = ndimage.find_objects(labels)
    heaviest = np.argsort(-weights, kind="stable")[:_MOST_COMPARED]
    parts = []
    for index in np.sort(heaviest[weights[heaviest] >= _SPECK_SHARE * weights.max()]):
        number, (rows, columns) = int(index) + 1, boxes[index]
        hollow = _is_hollow(labels[rows, columns] == number)
        bounds = (rows.start, rows.stop, columns.start, columns.stop)
        parts.append(_Part(number, float(weights[index]), *bounds, number in on_border, hollow))
    return labels, parts


def _is_hollow(mask: npt.NDArray[np.bool_]) -> bool:
    """Whether nearly all ink lies along the sides of the bounding box, as in a frame."""
    margin = [max(1, round(0.12 * side)) for side in mask.shape]
    inside = mask[margin[0] : -margin[0], margin[1] : -margin[1]]
    return bool(inside.sum() <= 0.08 * mask.sum())


def _is_frame(part: _Part, parts: list[_Part]) -> bool:
    """Whether the part is hollow and encloses another part."""
    return part.hollow and any(
        part.top < other.top
        and other.bottom < part.bottom
        and part.left < other.left
        and other.right < part.right
        for other in parts
    )


def _is_underline(part: _Part, parts: list[_Part]) -> bool:
    """Whether the part is a long, thin, horizontal line below a taller part."""
    return part.width >= 4 * part.height and any(
        other.height > 2 * part.height and other.bottom <= part.top + part.height
        for other in parts
        if other is not part
    )


def _doubt(digit: Ink, parts: list[_Part]) -> str:
    if any(_side_by_side(one, other) for one in parts for other in parts):
        return "more than one digit"
    solid = np.pad(digit > _SOLID_LEVEL, 1)
    half_width = ndimage.distance_transform_edt(solid).max() - 1  # Tiny pictures need the -1.
    if half_width > _MOST_HALF_WIDTH * max(digit.shape):
        return "a spot instead of strokes"
    if _count_holes(digit) > _MOST_HOLES:
        return "more loops than a digit has"
    return ""


def _side_by_side(left: _Part, right: _Part) -> bool:
    """Whether two parts could be digits of one number: adjacent, level and of similar height."""
    heights, widths = (left.height, right.height), (left.width, right.width)
    shared = min(left.bottom, right.bottom) - max(left.top, right.top)
    overlap = left.right - right.left
    return (
        left.left < right.left
        and min(heights) >= _LIKE_HEIGHT * max(heights)
        and shared > _SHARED_HEIGHT * min(heights)
        and overlap <= _MOST_OVERLAP * min(widths)
    )


def _count_holes(digit: Ink) -> int:
    labels, _ = ndimage.label(np.pad(digit <= _HOLE_LEVEL, 1, constant_values=True))
    areas = np.bincount(labels.ravel())[2:]  # Excludes the ink and the area around it.
    return int((areas >= _LEAST_HOLE * digit.size).sum())


def crop(ink: Ink) -> Ink:
    """Crops the outer rows and columns that have almost no ink, but never all of them."""
    level = min(EDGE_LEVEL, float(ink.max()) / 2)  # Downscaling makes fine dots faint.
    (box,) = ndimage.find_objects(ink > level, max_label=1)
    return ink[box]
