"""References of images whose classes are all alike."""

from __future__ import annotations

from components.image_validator.reference import CELLS, ClassReference, Limits, Reference, Spread
from models.features import NUM_CLASSES


def uniform_reference(
    limits: Limits, spread: Spread, images: int, largest_distance: float, deviation: float
) -> Reference:
    """Returns a reference with the same values for all classes.

    Args:
      limits: of the reference.
      spread: of the gradient, the curvature and the distance.
      images: number of measured images of each class.
      largest_distance: of each class.
      deviation: of each cell, whose mean is 0.5.
    """
    return Reference(
        limits=limits,
        classes=tuple(
            ClassReference(
                label=label,
                images=images,
                gradient=spread,
                curvature=spread,
                distance=spread,
                largest_distance=largest_distance,
                mean=(0.5,) * CELLS,
                deviation=(deviation,) * CELLS,
            )
            for label in range(NUM_CLASSES)
        ),
    )
