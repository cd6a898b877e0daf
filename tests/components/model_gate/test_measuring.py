from __future__ import annotations

import numpy as np
import pytest

from components.model_gate import measuring
from components.model_gate.behavior import INSPECTIONS, NOT_CHECKED, RULES, Behavior, Paired
from components.model_gate.probe import Findings, Run
from components.model_gate.rules import Confusion, Evaluated

NAMES = ("cat", "dog", "fox")
LABELS = np.array([0, 0, 1, 1, 2, 2])


def probabilities(*predicted: int, certainty: float = 0.8) -> np.ndarray:
    """Gives the predicted classes this probability, and shares the rest."""
    rest = (1 - certainty) / (len(NAMES) - 1)
    rows = np.full((len(predicted), len(NAMES)), rest, np.float32)
    rows[np.arange(len(predicted)), predicted] = certainty
    return rows


def evaluated(given: np.ndarray, labels: np.ndarray = LABELS) -> Evaluated:
    return Evaluated(measuring.confusion(labels, given, NAMES), 0.1, 1.0)


def findings(**changes: str) -> Findings:
    return Findings(problems=dict.fromkeys(INSPECTIONS, ()), **changes)


RIGHT = probabilities(0, 0, 1, 1, 2, 2)
WRONG_FOX = probabilities(0, 0, 1, 1, 2, 0)


@pytest.mark.parametrize(
    ("row", "predicted"),
    [
        ([0.1, 0.7, 0.2], 1),
        ([0.5, 0.5, 0.0], 0),
        ([np.nan, 0.7, 0.3], -1),
        ([0.7, np.nan, 0.3], -1),
        ([np.inf, 0.0, 0.0], -1),
        ([0.0, 2.0, 0.0], -1),
        ([0.0, 0.0, 0.0], -1),
    ],
)
def test_invalid_predictions_have_no_label(row: list[float], predicted: int) -> None:
    assert measuring.predictions(np.array([row], np.float32)).tolist() == [predicted]


def test_confusion_counts_invalid_predictions_by_label() -> None:
    given = WRONG_FOX.copy()
    given[0] = np.nan
    assert measuring.confusion(LABELS, given, NAMES) == Confusion(
        NAMES, ((1, 0, 0), (0, 2, 0), (1, 0, 1)), (1, 0, 0)
    )


def test_calibration_error_is_the_mean_gap_between_probability_and_accuracy() -> None:
    assert measuring.calibration_error(LABELS, RIGHT) == pytest.approx(0.2)
    # 5 of 6 are right with probability 0.8.
    assert measuring.calibration_error(LABELS, WRONG_FOX) == pytest.approx(5 / 6 - 0.8)
    mixed = np.concatenate([probabilities(0, certainty=1.0), WRONG_FOX[1:]])
    # 1 is right with probability 1, and 4 of 5 with 0.8.
    assert measuring.calibration_error(LABELS, mixed) == pytest.approx(0, abs=1e-6)
    invalid = np.full_like(RIGHT, np.nan)
    assert measuring.calibration_error(LABELS, invalid) == 1


def test_expected_errors_are_the_sum_of_the_other_probabilities() -> None:
    assert measuring.expected_errors(RIGHT) == pytest.approx(6 * 0.2)
    assert measuring.expected_errors(probabilities(0, 1, certainty=1.0)) == 0


def test_models_are_compared_image_by_image() -> None:
    better = probabilities(0, 1, 1, 1, 2, 2)
    assert measuring.paired(LABELS, WRONG_FOX, better, 3) == Paired(
        correct=5, worse=(0, 0, 1), better=(1, 0, 0)
    )


def test_an_equal_evaluation_is_no_problem() -> None:
    run = Run(LABELS, WRONG_FOX, RIGHT)
    fields = measuring.measure(
        findings(), run, evaluated(WRONG_FOX), evaluated(RIGHT), {0: 2, 1: 2, 2: 2}
    )
    behavior = Behavior(size_bytes=1, **fields)
    assert behavior.problems == dict.fromkeys(RULES, ())
    assert behavior.baseline == Paired(correct=6, worse=(0, 0, 1), better=(0, 0, 0))


@pytest.mark.parametrize(
    ("candidate", "baseline", "problem"),
    [
        (RIGHT, RIGHT, "6 of 6 images as correct, but the model itself classifies 5 correctly"),
        (probabilities(0, 0, 1, 0, 2, 2), RIGHT, "5 correctly, other ones"),
        (WRONG_FOX, WRONG_FOX, "but the baseline itself classifies 6 correctly"),
    ],
)
def test_the_evaluation_of_another_model_is_a_problem(
    candidate: np.ndarray, baseline: np.ndarray, problem: str
) -> None:
    run = Run(LABELS, WRONG_FOX, RIGHT)
    fields = measuring.measure(findings(), run, evaluated(candidate), evaluated(baseline), {})
    (found,) = fields["problems"]["evaluation"]
    assert problem in found


def test_the_evaluation_of_other_images_is_a_problem() -> None:
    other = evaluated(RIGHT, np.array([0, 0, 0, 1, 2, 2]))
    fields = measuring.measure(findings(), Run(LABELS, RIGHT), other, None, {})
    (found,) = fields["problems"]["evaluation"]
    assert "not of the same classes" in found


def test_rounding_may_break_ties_differently() -> None:
    tied = RIGHT.copy()
    tied[0] = [0.4, 0.4, 0.2]
    other = tied.copy()
    other[0] = [0.39999, 0.40001, 0.2]
    run = Run(LABELS, tied)
    assert (
        measuring.measure(findings(), run, evaluated(other), None, {})["problems"]["evaluation"]
        == ()
    )


def test_other_label_counts_than_those_of_example_gen_are_a_problem() -> None:
    fields = measuring.measure(
        findings(), Run(LABELS, RIGHT), evaluated(RIGHT), None, {0: 2, 1: 3, 2: 1}
    )
    (found,) = fields["problems"]["test_data"]
    assert found == (
        "ExampleGen counted images by label as {0: 2, 1: 3, 2: 1}, received {0: 2, 1: 2, 2: 2}"
    )


@pytest.mark.parametrize(
    ("baseline", "message", "problem"),
    [
        (None, "it is damaged", "the baseline can't be run: it is damaged"),
        (RIGHT[:, :2], "", "the baseline can't be run: it returns probabilities of shape (6, 2)"),
    ],
)
def test_a_baseline_that_cannot_be_compared_is_a_problem(
    baseline: np.ndarray | None, message: str, problem: str
) -> None:
    run = Run(LABELS, RIGHT, baseline)
    given = findings(baseline_problem=message)
    fields = measuring.measure(given, run, evaluated(RIGHT), evaluated(RIGHT), {})
    assert fields["problems"]["baseline_run"] == (problem,)
    assert fields["baseline"] is None


def test_nothing_is_measured_if_the_model_was_not_run() -> None:
    fields = measuring.measure(findings(), None, evaluated(RIGHT), evaluated(RIGHT), {})
    unchecked = {
        name for name, problems in fields["problems"].items() if problems == (NOT_CHECKED,)
    }
    assert unchecked == {"test_data", "evaluation", "baseline_run"}
