"""The reviewed reference: how the images of each class look, and limits for the splits.

It is part of the schema, in its annotation, so that one reviewed file describes the data. Each
comment of the annotation is one JSON object: first the limits, then the classes by label.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from components.example_gen.splits import SPLITS
from components.image_validator.features import TEXTURE, Values, grid_shape
from models.features import IMAGE_SHAPE, NUM_CLASSES
from models.validation import Frozen, problems

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

GRID_SHAPE = grid_shape(IMAGE_SHAPE)
CELLS = GRID_SHAPE[0] * GRID_SHAPE[1] * GRID_SHAPE[2]
FEATURES = CELLS + len(TEXTURE)
"""Length of `components.image_validator.features.describe` for one image."""

_TAG = "reference"

# Smallest standard deviations. Without them, a single pixel in a corner that is usually black would
# outweigh all other differences.
_LEAST_OF_CELL = 0.05
_LEAST_OF_TEXTURE = 0.002
_LEAST_OF_DISTANCE = 0.02

_FAR = 1.5
"""Largest allowed distance, relative to the largest distance of a measured image."""


class InvalidReferenceError(ValueError):
    """The schema has no valid reference. The message is one clause."""


class Limits(Frozen):
    """What the splits may contain.

    Attributes:
      duplicates: number of images of a split that repeat an earlier image of the same split.
      overlaps: number of images of a split that are also in another split.
      shares: each split's share of all images. It may differ by a factor of two.
    """

    duplicates: NonNegativeInt
    overlaps: NonNegativeInt
    shares: dict[str, PositiveFloat]


class Spread(Frozen):
    """Mean and standard deviation over the images of a class."""

    mean: NonNegativeFloat
    deviation: NonNegativeFloat


class ClassReference(Frozen):
    """The images of one class.

    Attributes:
      label: label of the class.
      images: number of images that were measured.
      gradient: mean absolute difference of adjacent pixels, from 0 to 1.
      curvature: mean absolute second difference, from 0 to 1.
      distance: distance of an image from the mean image (`features.distance`).
      largest_distance: the largest distance of a measured image.
      mean: mean image of cells, row by row, channels last, from 0 to 1.
      deviation: standard deviation of each cell.
    """

    label: NonNegativeInt
    images: PositiveInt
    gradient: Spread
    curvature: Spread
    distance: Spread
    largest_distance: NonNegativeFloat
    mean: tuple[NonNegativeFloat, ...]
    deviation: tuple[NonNegativeFloat, ...]

    def means(self) -> Values:
        """Means of all features and of the distance, of shape (FEATURES + 1,)."""
        return np.array(
            [*self.mean, self.gradient.mean, self.curvature.mean, self.distance.mean], np.float64
        )

    def deviations(self) -> Values:
        """Standard deviations of all features and of the distance, of shape (FEATURES + 1,)."""
        texture = np.array([self.gradient.deviation, self.curvature.deviation])
        return np.concatenate(
            [
                np.hypot(self.deviation, _LEAST_OF_CELL),
                np.hypot(texture, _LEAST_OF_TEXTURE),
                [np.hypot(self.distance.deviation, _LEAST_OF_DISTANCE)],
            ]
        )

    def farthest(self) -> float:
        """The distance beyond which a single image is an anomaly."""
        return _FAR * self.largest_distance


class Reference(Frozen):
    """The reference of all classes, indexed by label."""

    limits: Limits
    classes: tuple[ClassReference, ...]


def read_reference(schema: schema_pb2.Schema) -> Reference:
    """Reads the reference from a schema.

    Raises:
      InvalidReferenceError: if it is missing, malformed, or doesn't match the data definition.
    """
    if list(schema.annotation.tag) != [_TAG] or not schema.annotation.comment:
        raise InvalidReferenceError(
            f"annotation: must have the tag {_TAG!r} and its statistics; propose a new schema"
        )
    limits, *classes = schema.annotation.comment
    try:
        reference = Reference(
            limits=Limits.model_validate_json(limits),
            classes=tuple(ClassReference.model_validate_json(text) for text in classes),
        )
    except ValidationError as error:
        raise InvalidReferenceError(f"annotation: {problems(error)[0]}") from error
    if found := next(_contradictions(reference), None):
        raise InvalidReferenceError(f"annotation: {found}")
    return reference


def _contradictions(reference: Reference) -> Iterator[str]:
    labels = [of_class.label for of_class in reference.classes]
    if labels != list(range(NUM_CLASSES)):
        yield f"labels must be 0 to {NUM_CLASSES - 1}, received {labels}"
    if list(reference.limits.shares) != list(SPLITS):
        yield f"shares must be of {', '.join(SPLITS)}, received {list(reference.limits.shares)}"
    for of_class in reference.classes:
        received = len(of_class.mean), len(of_class.deviation)
        if received != (CELLS, CELLS):
            yield f"class {of_class.label}: mean and deviation must have {CELLS} values each, "
            f"received {received[0]} and {received[1]}"


def format_reference(reference: Reference) -> str:
    """Formats the reference as an annotation of a schema in text format, for human review.

    The mean image of a class appears as a table: large values are bright cells.
    """
    limits = reference.limits
    shares = {split: float(f"{share:.3g}") for split, share in limits.shares.items()}
    text = json.dumps(limits.model_dump() | {"shares": shares})
    return "\n".join(
        [
            "# The reference that ImageValidator compares each class of each split with. The first",
            f"# {GRID_SHAPE[0]} rows of numbers are the mean image of a class, from 0 (black) to",
            "# 1; the others, the standard deviation.",
            "annotation {",
            f'  tag: "{_TAG}"',
            f"  comment: '{text}'",
            *(_format_class(of_class) for of_class in reference.classes),
            "}",
            "",
        ]
    )


def _format_class(of_class: ClassReference) -> str:
    spreads = [
        f'"{name}": {{"mean": {spread.mean:.4g}, "deviation": {spread.deviation:.4g}}},'
        for name, spread in (
            ("gradient", of_class.gradient),
            ("curvature", of_class.curvature),
            ("distance", of_class.distance),
        )
    ]
    lines = [
        f'{{"label": {of_class.label}, "images": {of_class.images},',
        *spreads,
        f'"largest_distance": {of_class.largest_distance:.4g}, "mean": [',
        *_format_cells(of_class.mean),
        '], "deviation": [',
        *_format_cells(of_class.deviation),
        "]}",
    ]
    return "\n".join(["  comment:", *(f"    '{line}'" for line in lines)])


def _format_cells(values: Sequence[float]) -> Iterator[str]:
    rows = np.reshape(values, (GRID_SHAPE[0], -1))
    for number, row in enumerate(rows, 1):
        yield ", ".join(f"{value:.3f}" for value in row) + ("," if number < len(rows) else "")
