"""Computes calibration and worst mistakes, which the gate's metrics don't include."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from components.model_gate.rules import IMPOSSIBLE
from components.report.content import Bin, Calibration

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

INVALID = -1
"""Label of an invalid prediction."""

CALIBRATION_BINS = 15


def classify(probabilities: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Returns predicted labels and their confidences, by the same rules as the gate.

    Args:
      probabilities: shape (n, classes).

    Returns:
      The most probable labels, or INVALID where the highest probability is NaN, infinite or not
      above 0; and the highest probabilities. Both of shape (n,).
    """
    highest = probabilities.max(axis=1)
    is_probability = (highest > 0) & (highest <= IMPOSSIBLE)
    return np.where(is_probability, probabilities.argmax(axis=1), INVALID), highest


def calibration(
    labels: Integers, predicted: Integers, confidences: Floats, bins: int = CALIBRATION_BINS
) -> Calibration:
    """Compares the confidence of valid predictions with their accuracy.

    The expected calibration error is the difference between accuracy and mean confidence, averaged
    over bins and weighted by their number of predictions: Guo et al., On Calibration of Modern
    Neural Networks, ICML 2017 (arXiv 1706.04599), equation 3. They also use 15 bins of equal width.

    Args:
      labels: shape (n,).
      predicted: labels or INVALID, shape (n,).
      confidences: shape (n,).
      bins: number of bins.
    """
    valid = predicted != INVALID
    confidences = confidences[valid].astype(np.float64)
    correct = (predicted == labels)[valid]
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, bins - 1)
    made = tuple(
        _bin(edges[i], edges[i + 1], confidences[numbers == i], correct[numbers == i])
        for i in range(bins)
    )
    gaps = (
        bin_.examples * abs(bin_.confidence - bin_.accuracy)
        for bin_ in made
        if bin_.confidence is not None and bin_.accuracy is not None
    )
    error = sum(gaps) / len(confidences) if len(confidences) else None
    return Calibration(bins=made, expected_error=error)


def _bin(lower: float, upper: float, confidences: Floats, correct: npt.NDArray[np.bool_]) -> Bin:
    some = len(confidences) > 0
    return Bin(
        lower=float(lower),
        upper=float(upper),
        examples=len(confidences),
        confidence=float(confidences.mean()) if some else None,
        accuracy=float(correct.mean()) if some else None,
    )


@dataclass(frozen=True)
class Classified:
    """An example and the model's prediction.

    Attributes:
      index: index of the example, from 0.
      label: label of the example.
      image: uint8 of shape (height, width, channels).
      probabilities: shape (classes,).
    """

    index: int
    label: int
    image: npt.NDArray[np.uint8]
    probabilities: Floats

    @property
    def predicted(self) -> int | None:
        """The most probable label; None if the prediction is invalid."""
        label = int(classify(self.probabilities[np.newaxis])[0][0])
        return None if label == INVALID else label

    @property
    def rank(self) -> tuple[float, int]:
        """Sort key by confidence; among equal confidences, earlier examples rank higher."""
        confidence = self.probabilities.max() if self.predicted is not None else -1.0
        return float(confidence), -self.index


@dataclass
class WorstMistakes:
    """Collects the wrong predictions with the highest confidence from any number of batches.

    Args:
      count: number of predictions to keep.
    """

    count: int

    def __post_init__(self) -> None:
        self.kept: list[Classified] = []

    def add(
        self, first: int, labels: Integers, images: npt.NDArray[np.uint8], probabilities: Floats
    ) -> None:
        """Adds the mistakes of a batch.

        Args:
          first: index of the first example in the batch.
          labels: shape (n,).
          images: shape (n, height, width, channels).
          probabilities: shape (n, classes).
        """
        wrong = np.flatnonzero(classify(probabilities)[0] != labels)
        new = [
            Classified(first + int(i), int(labels[i]), images[i], probabilities[i]) for i in wrong
        ]
        worst = heapq.nlargest(self.count, [*self.kept, *new], key=lambda mistake: mistake.rank)
        # Copies, because a view of one image would keep its whole batch in memory.
        self.kept = [replace(mistake, image=mistake.image.copy()) for mistake in worst]
