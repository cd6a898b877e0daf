"""Measures the reference of a data set, for a proposed schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.common.errors import DataRejectedError
from components.example_gen.splits import SPLITS
from components.image_validator.evidence import ClassEvidence, Evidence
from components.image_validator.features import Values
from components.image_validator.reference import (
    CELLS,
    ClassReference,
    Limits,
    Reference,
    Spread,
)
from components.image_validator.scan import scan
from models.features import CLASS_NAMES, NUM_CLASSES


def measure_reference(
    make_pipeline: Callable[[], Any], uris: dict[str, str], directory: Path
) -> Reference:
    """Measures all splits together. The limits allow what the data contains.

    Args:
      make_pipeline: creates a Beam pipeline; called twice, because the distance from the mean image
        requires the mean image.
      uris: directories of the examples, by split.
      directory: directory for intermediate results.

    Raises:
      DataRejectedError: if an example can't be read, or a class or a label is missing.
    """
    without_distance = to_reference(scan(make_pipeline, uris, directory / "pass-1.json", None))
    return to_reference(scan(make_pipeline, uris, directory / "pass-2.json", without_distance))


def to_reference(evidence: Evidence) -> Reference:
    """Makes a reference of the images in all splits.

    Raises:
      DataRejectedError: if a class is missing, or a label is not that of a class.
    """
    by_label = {
        label: [one for one in evidence.classes if one.label == label]
        for label in sorted({one.label for one in evidence.classes})
    }
    if list(by_label) != list(range(NUM_CLASSES)):
        raise DataRejectedError(
            f"the labels must be 0 to {NUM_CLASSES - 1}, for all {len(CLASS_NAMES)} classes in "
            f"models/definition.py, received {', '.join(map(str, by_label))}"
        )
    total = sum(one.images for one in evidence.classes)
    same, different = (
        [pair for pair in evidence.repeats if (pair.split == pair.other) == is_same]
        for is_same in (True, False)
    )
    return Reference(
        limits=Limits(
            duplicates=max((pair.images for pair in same), default=0),
            overlaps=max((pair.images for pair in different), default=0),
            shares={split: evidence.images(split) / total for split in SPLITS},
        ),
        classes=tuple(_describe_class(label, parts) for label, parts in by_label.items()),
    )


def _describe_class(label: int, parts: list[ClassEvidence]) -> ClassReference:
    images = sum(part.images for part in parts)
    mean: Values = np.sum([part.sums for part in parts], axis=0) / images
    squares = np.sum([part.squares for part in parts], axis=0) / images
    deviation = np.sqrt(np.maximum(squares - mean**2, 0))
    spreads = [
        Spread(mean=float(m), deviation=float(d))
        for m, d in zip(mean[CELLS:], deviation[CELLS:], strict=True)
    ]
    gradient, curvature, distance = [*spreads, Spread(mean=0, deviation=0)][:3]
    return ClassReference(
        label=label,
        images=images,
        gradient=gradient,
        curvature=curvature,
        distance=distance,
        largest_distance=max(part.largest for part in parts),
        mean=tuple(mean[:CELLS].tolist()),
        deviation=tuple(deviation[:CELLS].tolist()),
    )
