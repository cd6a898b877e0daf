"""Calibration and worst mistakes, compared with manual calculations."""

from __future__ import annotations

import numpy as np
import pytest

from components.report.content import Calibration
from components.report.predictions import (
    INVALID,
    Classified,
    WorstMistakes,
    calibration,
    classify,
)


def probabilities(*pairs: tuple[int, float]) -> np.ndarray:
    """Creates rows with the given probability of a label, and the rest spread over the others."""
    rows = []
    for label, confidence in pairs:
        row = np.full(10, (1 - confidence) / 9)
        row[label] = confidence
        rows.append(row)
    return np.array(rows, np.float32)


def calibrated(labels: list[int], rows: np.ndarray, bins: int = 15) -> Calibration:
    return calibration(np.array(labels), *classify(rows), bins)


def test_most_probable_label_is_predicted() -> None:
    predicted, confidences = classify(probabilities((3, 0.9), (0, 0.2)))
    assert predicted.tolist() == [3, 0]
    assert confidences.tolist() == pytest.approx([0.9, 0.2])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.1])
def test_prediction_that_is_not_a_probability_is_invalid(value: float) -> None:
    rows = probabilities((3, 0.9), (4, 0.9))
    rows[0, 0] = value
    assert classify(rows)[0].tolist() == [INVALID, 4]


def test_zeros_are_an_invalid_prediction() -> None:
    assert classify(np.zeros((1, 10)))[0].tolist() == [INVALID]


def test_expected_calibration_error_matches_a_manual_calculation() -> None:
    # In the bin (2/3, 11/15]: confidences 0.7 and 0.72, one correct: |0.5 - 0.71| = 0.21.
    # In the last bin: confidences 0.95, 0.97 and 0.99, all correct: |1 - 0.97| = 0.03.
    rows = probabilities((0, 0.7), (1, 0.72), (2, 0.95), (3, 0.97), (4, 0.99))
    result = calibrated([0, 9, 2, 3, 4], rows)
    assert result.expected_error == pytest.approx((2 * 0.21 + 3 * 0.03) / 5, abs=1e-6)
    filled = {i: bin_ for i, bin_ in enumerate(result.bins) if bin_.examples}
    assert filled.keys() == {10, 14}
    assert (filled[10].examples, filled[10].accuracy) == (2, 0.5)
    assert filled[10].confidence == pytest.approx(0.71)


def test_bins_are_open_below_and_closed_above() -> None:
    rows = np.zeros((2, 10))
    rows[0, 1], rows[1, 1] = 0.5, np.nextafter(0.5, 1)
    result = calibrated([1, 1], rows, bins=2)
    assert [bin_.examples for bin_ in result.bins] == [1, 1]


def test_certain_and_correct_predictions_are_perfectly_calibrated() -> None:
    result = calibrated([1, 2], probabilities((1, 1.0), (2, 1.0)))
    assert result.expected_error == 0
    assert result.bins[-1].examples == 2


def test_without_valid_predictions_there_is_no_calibration_error() -> None:
    assert calibrated([1], np.full((1, 10), np.nan)).expected_error is None


def test_worst_mistakes_are_the_most_confident_of_all_batches() -> None:
    worst = WorstMistakes(3)
    images = np.zeros((3, 4, 4, 1), np.uint8)
    worst.add(0, np.array([0, 1, 2]), images, probabilities((5, 0.6), (1, 0.99), (5, 0.8)))
    worst.add(3, np.array([3, 4, 5]), images, probabilities((0, 0.9), (0, 0.3), (0, 0.8)))
    assert [mistake.index for mistake in worst.kept] == [3, 2, 5]


def test_mistakes_do_not_keep_their_batch_in_memory() -> None:
    worst = WorstMistakes(3)
    worst.add(0, np.array([0]), np.zeros((1, 4, 4, 3), np.uint8), probabilities((5, 0.6)))
    assert worst.kept[0].image.base is None


def test_invalid_prediction_is_the_least_confident_mistake() -> None:
    worst = WorstMistakes(2)
    rows = probabilities((5, 0.2), (5, 0.9))
    rows[1, 0] = np.nan
    worst.add(0, np.array([0, 1]), np.zeros((2, 4, 4, 1), np.uint8), rows)
    assert [mistake.predicted for mistake in worst.kept] == [5, None]


def test_rank_is_by_confidence_and_then_by_index() -> None:
    example = Classified(4, 1, np.zeros((4, 4, 1), np.uint8), probabilities((1, 0.75))[0])
    assert example.rank == (0.75, -4)
