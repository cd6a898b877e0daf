"""Metrics that the stock Evaluator reports for models with known predictions."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.model_gate.evaluation import EvidenceError, read_evaluation

SIZE = 10
NAMES = tuple(f"class {label}" for label in range(SIZE))


@pytest.fixture
def toy(toy: Any) -> Any:
    """The toy model with ten classes, regardless of the data definition."""
    toy.classes = SIZE
    return toy


@pytest.mark.parametrize("size", [2, 3, 40])
def test_counts_are_exact_for_any_number_of_classes(toy, evaluate, size: int) -> None:  # type: ignore[no-untyped-def]
    toy.classes = size
    cases = [toy.Case(label=0, predicted=0)] * 7
    cases += [toy.Case(label=0, predicted=size - 1)] * 2
    cases += [toy.Case(label=size - 1, predicted=size - 1)]
    names = tuple(f"class {label}" for label in range(size))
    candidate, baseline = read_evaluation(evaluate(cases).artifact.uri, False, names)
    assert baseline is None
    assert candidate.confusion.class_names == names
    assert candidate.confusion.counts[0] == (7, *[0] * (size - 2), 2)
    assert candidate.confusion.counts[-1] == (*[0] * (size - 1), 1)
    assert (candidate.confusion.examples, candidate.confusion.correct) == (10, 8)
    assert candidate.confusion.invalid == (0,) * size


def test_loss_and_top_2_accuracy_match_the_probabilities(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    cases = [toy.Case(label, predicted=1) for label in (1, 1, 2, 9)]
    candidate, _ = read_evaluation(evaluate(cases).artifact.uri, False, NAMES)
    logs = [math.log(probability) for probability in (0.81, 0.81, 0.11, 0.01)]
    assert candidate.loss == pytest.approx(-sum(logs) / 4, rel=1e-5)
    assert candidate.top_2_accuracy == 0.75
    assert candidate.confusion.accuracy == 0.5


@pytest.mark.parametrize("predicted", ["NAN", "NAN_AT_0", "INFINITY_AT_0", "ZEROS"])
def test_non_finite_and_zero_predictions_are_invalid(toy, evaluate, predicted: str) -> None:  # type: ignore[no-untyped-def]
    invalid = toy.Case(label=0, predicted=getattr(toy, predicted))
    cases = [invalid] * 3 + toy.cases(right=20)
    candidate, _ = read_evaluation(evaluate(cases).artifact.uri, False, NAMES)
    assert candidate.confusion.invalid == (3, *[0] * 9)
    assert candidate.confusion.counts[0] == (2, *[0] * 9)
    assert (candidate.confusion.examples, candidate.confusion.correct) == (23, 20)
    if "NAN" in predicted:
        assert candidate.loss is not None
        assert math.isnan(candidate.loss)


def test_the_baseline_is_evaluated_on_the_same_examples(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    cases = toy.cases(right=97, wrong=3, baseline_wrong=5)
    evaluation = evaluate(cases, with_baseline=True)
    candidate, baseline = read_evaluation(evaluation.artifact.uri, True, NAMES)
    assert baseline is not None
    assert (candidate.confusion.correct, candidate.confusion.examples) == (97, 100)
    assert (baseline.confusion.correct, baseline.confusion.examples) == (95, 100)


def test_missing_baseline_metrics_are_an_error(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate(toy.cases(right=10))
    with pytest.raises(EvidenceError, match="the evaluation has no confusion matrix for the model"):
        read_evaluation(evaluation.artifact.uri, True, NAMES)


def test_an_evaluation_without_examples_is_an_error(evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate([])
    with pytest.raises(EvidenceError, match="no confusion matrix for the model; check that"):
        read_evaluation(evaluation.artifact.uri, False, NAMES)


@pytest.mark.parametrize(("label", "predicted"), [(SIZE, 1), (1, SIZE)])
def test_a_label_without_a_class_name_is_an_error(  # type: ignore[no-untyped-def]
    toy, evaluate, label: int, predicted: int
) -> None:
    toy.classes = SIZE + 1
    evaluation = evaluate([*toy.cases(right=10), toy.Case(label, predicted)])
    reason = f"predictions from 0 to 9, received label {label} predicted as {predicted}"
    with pytest.raises(EvidenceError, match=reason):
        read_evaluation(evaluation.artifact.uri, False, NAMES)


def test_damaged_metrics_are_an_error(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    directory = Path(evaluate(toy.cases(right=10)).artifact.uri)
    (metrics,) = directory.glob("metrics*")
    content = metrics.read_bytes()
    for damaged in (content[:-20] + b"\xff" * 20, b"no TFRecord" * 9):
        metrics.write_bytes(damaged)
        with pytest.raises(EvidenceError, match="the evaluation's metrics can't be read: "):
            read_evaluation(str(directory), False, NAMES)


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
def test_missing_metrics_are_an_error(toy, evaluate, damage: str) -> None:  # type: ignore[no-untyped-def]
    directory = Path(evaluate(toy.cases(right=10)).artifact.uri)
    (metrics,) = directory.glob("metrics*")
    if damage == "missing":
        shutil.rmtree(directory)
    else:
        content = metrics.read_bytes()
        metrics.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(EvidenceError):
        read_evaluation(str(directory), False, NAMES)
