"""What can be said of a model's answers: confusion, per-digit metrics, calibration, mistakes."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.model_gate.rules import Digit
from components.report.content import Bin, Calibration
from models.features import NUM_CLASSES

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

NO_DIGIT = -1
CALIBRATION_BINS = 15
_GREATEST = 1.001
"""Above this no number is a probability; the gate's bound, `model_gate.eval_config.IMPOSSIBLE`."""


def predicted_digits(probabilities: Floats) -> npt.NDArray[np.int64]:
    """The most probable digits, as the gate counts them.

    Args:
      probabilities: shape (n, NUM_CLASSES).

    Returns:
      Shape (n,): digits, or NO_DIGIT where the highest is NaN, infinite or not above 0.
    """
    highest = probabilities.max(axis=1)
    is_probability = (highest > 0) & (highest <= _GREATEST)
    return np.where(is_probability, probabilities.argmax(axis=1), NO_DIGIT)


def confusion(labels: Integers, predicted: Integers) -> tuple[Integers, Integers]:
    """Counts how often each digit was taken for which.

    Args:
      labels: shape (n,), digits.
      predicted: shape (n,), of `predicted_digits`.

    Returns:
      Matrix [actual, predicted] of shape (NUM_CLASSES, NUM_CLASSES), and by actual digit the
      examples without an answer, shape (NUM_CLASSES,).
    """
    from sklearn.metrics import confusion_matrix

    digits = np.arange(NUM_CLASSES)
    missing = np.bincount(labels[predicted == NO_DIGIT], minlength=NUM_CLASSES)
    answered = predicted != NO_DIGIT
    if not answered.any():
        return np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64), missing
    return confusion_matrix(labels[answered], predicted[answered], labels=digits), missing


def per_class(labels: Integers, predicted: Integers) -> tuple[Digit, ...]:
    """Precision, recall and F1 of each digit; None where scikit-learn finds them undefined."""
    from sklearn.metrics import precision_recall_fscore_support

    digits = np.arange(NUM_CLASSES)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=digits, zero_division=np.nan
    )
    return tuple(
        Digit(
            digit=digit,
            examples=int(support[digit]),
            correct=int(((labels == digit) & (predicted == digit)).sum()),
            precision=_number(precision[digit]),
            recall=_number(recall[digit]),
            f1=_number(f1[digit]),
        )
        for digit in range(NUM_CLASSES)
    )


def calibration(
    labels: Integers, probabilities: Floats, bins: int = CALIBRATION_BINS
) -> Calibration:
    """Compares confidences with how often they are right.

    The expected calibration error is the mean, over the answers, of the distance between mean
    confidence and accuracy in the answer's bin: Guo et al., On Calibration of Modern Neural
    Networks, ICML 2017 (arXiv 1706.04599), equation 3, whose experiments have 15 bins of equal
    width, too.

    Args:
      labels: shape (n,), digits.
      probabilities: shape (n, NUM_CLASSES); rows without an answer don't count.
      bins: how many.
    """
    predicted = predicted_digits(probabilities)
    answered = predicted != NO_DIGIT
    confidences = probabilities.max(axis=1)[answered].astype(np.float64)
    right = (predicted == labels)[answered]
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, bins - 1)
    made = tuple(
        _bin(edges[i], edges[i + 1], confidences[numbers == i], right[numbers == i])
        for i in range(bins)
    )
    gaps = (
        bin_.examples * abs(bin_.confidence - bin_.accuracy)
        for bin_ in made
        if bin_.confidence is not None and bin_.accuracy is not None
    )
    error = sum(gaps) / len(confidences) if len(confidences) else None
    return Calibration(bins=made, expected_error=error)


def _bin(lower: float, upper: float, confidences: Floats, right: npt.NDArray[np.bool_]) -> Bin:
    some = len(confidences) > 0
    return Bin(
        lower=float(lower),
        upper=float(upper),
        examples=len(confidences),
        confidence=float(confidences.mean()) if some else None,
        accuracy=float(right.mean()) if some else None,
    )


@dataclass(frozen=True)
class Shown:
    """An example and the answer to it.

    Attributes:
      index: of the example, from 0.
      label: its digit.
      image: uint8 of shape (IMAGE_SIDE, IMAGE_SIDE).
      probabilities: shape (NUM_CLASSES,).
    """

    index: int
    label: int
    image: npt.NDArray[np.uint8]
    probabilities: Floats

    @property
    def predicted(self) -> int | None:
        """The most probable digit, if the answer is one."""
        digit = int(predicted_digits(self.probabilities[np.newaxis])[0])
        return None if digit == NO_DIGIT else digit

    @property
    def rank(self) -> tuple[float, int]:
        """Higher for a more confident answer, and among equal ones for an earlier example."""
        confidence = self.probabilities.max() if self.predicted is not None else -1.0
        return float(confidence), -self.index


@dataclass
class WorstMistakes:
    """Keeps the wrong answers with the highest confidence, of any number of batches.

    Args:
      count: keep so many.
    """

    count: int

    def __post_init__(self) -> None:
        self.kept: list[Shown] = []

    def add(
        self, first: int, labels: Integers, images: npt.NDArray[np.uint8], probabilities: Floats
    ) -> None:
        """Looks at a batch.

        Args:
          first: index of its first example.
          labels: shape (n,).
          images: shape (n, IMAGE_SIDE, IMAGE_SIDE).
          probabilities: shape (n, NUM_CLASSES).
        """
        wrong = np.flatnonzero(predicted_digits(probabilities) != labels)
        new = [Shown(first + int(i), int(labels[i]), images[i], probabilities[i]) for i in wrong]
        self.kept = heapq.nlargest(self.count, [*self.kept, *new], key=lambda shown: shown.rank)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
