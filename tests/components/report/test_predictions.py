"""Numbers of a report, against examples worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from components.report.predictions import (
    NO_DIGIT,
    Shown,
    WorstMistakes,
    calibration,
    confusion,
    per_class,
    predicted_digits,
)


def answers(*pairs: tuple[int, float]) -> np.ndarray:
    """Rows with the given probability at the given digit, and the rest spread over the others."""
    rows = []
    for digit, confidence in pairs:
        row = np.full(10, (1 - confidence) / 9)
        row[digit] = confidence
        rows.append(row)
    return np.array(rows, np.float32)


def test_most_probable_digit_is_the_answer() -> None:
    assert predicted_digits(answers((3, 0.9), (0, 0.2))).tolist() == [3, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.1])
def test_what_is_no_probability_is_no_answer(value: float) -> None:
    probabilities = answers((3, 0.9), (4, 0.9))
    probabilities[0, 0] = value
    assert predicted_digits(probabilities).tolist() == [NO_DIGIT, 4]


def test_zeros_are_no_answer() -> None:
    assert predicted_digits(np.zeros((1, 10))).tolist() == [NO_DIGIT]


def test_confusion_counts_by_actual_and_predicted_digit() -> None:
    matrix, unanswered = confusion(np.array([1, 1, 7, 9]), np.array([1, 7, 7, NO_DIGIT]))
    assert (matrix[1, 1], matrix[1, 7], matrix[7, 7]) == (1, 1, 1)
    assert matrix.sum() == 3
    assert unanswered.tolist() == [0] * 9 + [1]


def test_confusion_of_no_answers_is_empty() -> None:
    matrix, unanswered = confusion(np.array([2, 2]), np.array([NO_DIGIT, NO_DIGIT]))
    assert matrix.sum() == 0
    assert unanswered[2] == 2


def test_metrics_of_each_digit() -> None:
    labels = np.array([1, 1, 1, 7, 9])
    digits = per_class(labels, np.array([1, 1, 7, 7, NO_DIGIT]))
    one, seven, nine, none = (digits[digit] for digit in (1, 7, 9, 0))
    assert (one.precision, one.recall, one.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (one.examples, one.correct) == (3, 2)
    assert (seven.precision, seven.recall, seven.f1) == pytest.approx((0.5, 1, 2 / 3))
    assert (nine.precision, nine.recall, nine.f1) == (None, 0, 0)
    assert (none.precision, none.recall, none.f1) == (None, None, None)


def test_expected_calibration_error_worked_out_by_hand() -> None:
    # In the bin (2/3, 11/15]: confidences 0.7 and 0.72, one right: |0.5 - 0.71| = 0.21.
    # In the last bin: confidences 0.95, 0.97 and 0.99, all right: |1 - 0.97| = 0.03.
    probabilities = answers((0, 0.7), (1, 0.72), (2, 0.95), (3, 0.97), (4, 0.99))
    result = calibration(np.array([0, 9, 2, 3, 4]), probabilities)
    assert result.expected_error == pytest.approx((2 * 0.21 + 3 * 0.03) / 5, abs=1e-6)
    filled = {i: bin_ for i, bin_ in enumerate(result.bins) if bin_.examples}
    assert filled.keys() == {10, 14}
    assert (filled[10].examples, filled[10].accuracy) == (2, 0.5)
    assert filled[10].confidence == pytest.approx(0.71)


def test_bins_are_open_below_and_closed_above() -> None:
    probabilities = np.zeros((2, 10))
    probabilities[0, 1], probabilities[1, 1] = 0.5, np.nextafter(0.5, 1)
    result = calibration(np.array([1, 1]), probabilities, bins=2)
    assert [bin_.examples for bin_ in result.bins] == [1, 1]


def test_certain_and_right_answers_are_perfectly_calibrated() -> None:
    result = calibration(np.array([1, 2]), answers((1, 1.0), (2, 1.0)))
    assert result.expected_error == 0
    assert result.bins[-1].examples == 2


def test_without_answers_there_is_no_calibration_error() -> None:
    result = calibration(np.array([1]), np.full((1, 10), np.nan))
    assert result.expected_error is None


def test_worst_mistakes_are_the_most_confident_of_all_batches() -> None:
    worst = WorstMistakes(3)
    images = np.zeros((3, 28, 28), np.uint8)
    worst.add(0, np.array([0, 1, 2]), images, answers((5, 0.6), (1, 0.99), (5, 0.8)))
    worst.add(3, np.array([3, 4, 5]), images, answers((0, 0.9), (0, 0.3), (0, 0.8)))
    assert [shown.index for shown in worst.kept] == [3, 2, 5]


def test_mistake_without_an_answer_is_the_least_confident() -> None:
    worst = WorstMistakes(2)
    probabilities = answers((5, 0.2), (5, 0.9))
    probabilities[1, 0] = np.nan
    worst.add(0, np.array([0, 1]), np.zeros((2, 28, 28), np.uint8), probabilities)
    assert [shown.predicted for shown in worst.kept] == [5, None]


def test_shown_example_has_its_rank() -> None:
    shown = Shown(4, 1, np.zeros((28, 28), np.uint8), answers((1, 0.75))[0])
    assert shown.rank == (0.75, -4)
