"""Picks the parts of the ink that make up the digit, and tells what speaks against one digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.digits.ink import EDGE_LEVEL, Ink, border

_PART_SHARE = 0.1  # Of the heaviest part's ink: what has less is no part of the digit.
_SPECK_SHARE = 0.02  # Likewise: what has less is ignored at once.
_INNER_SHARE = 0.2  # Likewise: what is inside and has as much is the digit.
_MOST_COMPARED = 100  # Of the heaviest parts: each is compared with each.

_MOST_HOLES = 3  # An 8 has 2, and a curl may add one.
_LEAST_HOLE = 0.004  # Of the area of the digit's box.
_HOLE_LEVEL = 0.4  # Most ink in a hole.
_SOLID_LEVEL = 0.5  # Least ink within a stroke.
_MOST_HALF_WIDTH = 0.23  # Of a stroke, as a share of the digit's longer side.
_LIKE_HEIGHT = 0.5  # Of the taller one: the shorter of two digits of a number.
_SHARED_HEIGHT = 0.5  # Of the shorter one: how much of it is beside the other.
_MOST_OVERLAP = 0.25  # Of the narrower one: how far slanted digits reach over each other.


@dataclass(frozen=True)
class _Part:
    """A connected piece of ink; bounds are half open, in pixels."""

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
    """Keeps the parts of the digit: the heaviest one, and those that weigh a part of it.

    What touches the border, such as an edge of a shadow, is kept only if nothing of weight is
    inside. Frames around the digit and lines below it are removed.

    Args:
      ink: with some ink in it.

    Returns:
      The digit's ink, cropped, and a doubt: "", or a clause such as "more than one digit".
    """
    labels, parts = _find_parts(ink)
    parts = [part for part in parts if not _is_frame(part, parts)]
    inner = [part for part in parts if not part.on_border]
    if _heaviest(inner) >= _INNER_SHARE * _heaviest(parts):
        parts = inner
    parts = [part for part in parts if not _is_underline(part, parts)]
    parts = [part for part in parts if part.weight >= _PART_SHARE * _heaviest(parts)]
    mask = np.isin(labels, [part.number for part in parts])
    near = ndimage.binary_dilation(mask, iterations=2)  # With the soft edges.
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
    """Whether nearly all of it lies along the sides of its box, as a frame's ink does."""
    margin = [max(1, round(0.12 * side)) for side in mask.shape]
    inside = mask[margin[0] : -margin[0], margin[1] : -margin[1]]
    return bool(inside.sum() <= 0.08 * mask.sum())


def _is_frame(part: _Part, parts: list[_Part]) -> bool:
    """Whether it is hollow and another part lies within."""
    return part.hollow and any(
        part.top < other.top
        and other.bottom < part.bottom
        and part.left < other.left
        and other.right < part.right
        for other in parts
    )


def _is_underline(part: _Part, parts: list[_Part]) -> bool:
    """Whether it is long, thin and level, and something taller stands above it."""
    return part.width >= 4 * part.height and any(
        other.height > 2 * part.height and other.bottom <= part.top + part.height
        for other in parts
        if other is not part
    )


def _doubt(digit: Ink, parts: list[_Part]) -> str:
    if any(_side_by_side(one, other) for one in parts for other in parts):
        return "more than one digit"
    solid = np.pad(digit > _SOLID_LEVEL, 1)
    half_width = ndimage.distance_transform_edt(solid).max() - 1  # Tells in tiny pictures only.
    if half_width > _MOST_HALF_WIDTH * max(digit.shape):
        return "a spot instead of strokes"
    if _count_holes(digit) > _MOST_HOLES:
        return "more loops than a digit has"
    return ""


def _side_by_side(left: _Part, right: _Part) -> bool:
    """Whether two parts could be digits of one number: as tall, at one height, next to another."""
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
    areas = np.bincount(labels.ravel())[2:]  # Without the ink and its surroundings.
    return int((areas >= _LEAST_HOLE * digit.size).sum())


def crop(ink: Ink) -> Ink:
    """Cuts off the rows and columns at the edges that have next to no ink, but never all."""
    level = min(EDGE_LEVEL, float(ink.max()) / 2)  # Fine dots become faint in a smaller picture.
    (box,) = ndimage.find_objects(ink > level)
    return ink[box]
