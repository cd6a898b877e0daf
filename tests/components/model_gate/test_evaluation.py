"""What the stock Evaluator reports about models of which it is known what they answer."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from components.model_gate.evaluation import EvidenceError, read_evaluation


def test_counts_are_exact(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    asked = [toy.Question(label=3, answer=3)] * 7 + [toy.Question(label=3, answer=5)] * 2
    asked += [toy.Question(label=9, answer=9)]
    candidate, baseline = read_evaluation(evaluate(asked).artifact.uri, has_baseline=False)
    assert baseline is None
    assert candidate.confusion.counts[3] == (0, 0, 0, 7, 0, 2, 0, 0, 0, 0)
    assert candidate.confusion.counts[9] == (0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert (candidate.confusion.examples, candidate.confusion.correct) == (10, 8)
    assert candidate.confusion.unanswered == (0,) * 10


def test_loss_and_top_2_are_those_of_the_probabilities(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    asked = [toy.Question(label, answer=1) for label in (1, 1, 2, 9)]
    candidate, _ = read_evaluation(evaluate(asked).artifact.uri, has_baseline=False)
    logs = [math.log(probability) for probability in (0.81, 0.81, 0.11, 0.01)]
    assert candidate.loss == pytest.approx(-sum(logs) / 4, rel=1e-5)
    assert candidate.top_2_accuracy == 0.75
    assert candidate.confusion.accuracy == 0.5


@pytest.mark.parametrize("answer", ["NAN", "NAN_AT_0", "INFINITY_AT_0", "ZEROS"])
def test_answers_that_are_no_probabilities_are_never_right(toy, evaluate, answer: str) -> None:  # type: ignore[no-untyped-def]
    strange = toy.Question(label=0, answer=getattr(toy, answer))
    asked = [strange] * 3 + toy.questions(right=20)
    candidate, _ = read_evaluation(evaluate(asked).artifact.uri, has_baseline=False)
    assert candidate.confusion.unanswered == (3, *[0] * 9)
    assert candidate.confusion.counts[0] == (2, *[0] * 9)
    assert (candidate.confusion.examples, candidate.confusion.correct) == (23, 20)
    if "NAN" in answer:
        assert candidate.loss is not None
        assert math.isnan(candidate.loss)


def test_baseline_is_evaluated_on_the_same_examples(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    asked = toy.questions(right=97, wrong=3, baseline_wrong=5)
    evaluation = evaluate(asked, with_baseline=True)
    candidate, baseline = read_evaluation(evaluation.artifact.uri, has_baseline=True)
    assert baseline is not None
    assert (candidate.confusion.correct, candidate.confusion.examples) == (97, 100)
    assert (baseline.confusion.correct, baseline.confusion.examples) == (95, 100)


def test_missing_metrics_of_a_baseline_are_an_error(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate(toy.questions(right=10))
    with pytest.raises(EvidenceError, match="it holds no confusion matrix of the model"):
        read_evaluation(evaluation.artifact.uri, has_baseline=True)


def test_evaluation_without_examples_is_an_error(evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate([])
    with pytest.raises(EvidenceError, match="no confusion matrix of the model: was any example"):
        read_evaluation(evaluation.artifact.uri, has_baseline=False)


@pytest.mark.parametrize(("label", "answer"), [(10, 1), (1, 10)])
def test_class_that_is_no_digit_is_an_error(toy, evaluate, label: int, answer: int) -> None:  # type: ignore[no-untyped-def]
    toy.classes = 11
    evaluation = evaluate([*toy.questions(right=10), toy.Question(label, answer)])
    reason = f"label {label} was answered with {answer}, which are not both digits"
    with pytest.raises(EvidenceError, match=reason):
        read_evaluation(evaluation.artifact.uri, has_baseline=False)


def test_damaged_metrics_are_an_error(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    directory = Path(evaluate(toy.questions(right=10)).artifact.uri)
    (metrics,) = directory.glob("metrics*")
    content = metrics.read_bytes()
    for damaged in (content[:-20] + b"\xff" * 20, b"no TFRecord" * 9):
        metrics.write_bytes(damaged)
        with pytest.raises(EvidenceError, match="its metrics can't be read: "):
            read_evaluation(str(directory), has_baseline=False)


@pytest.mark.parametrize("what", ["half", "empty", "none"])
def test_missing_metrics_are_an_error(toy, evaluate, what: str) -> None:  # type: ignore[no-untyped-def]
    directory = Path(evaluate(toy.questions(right=10)).artifact.uri)
    (metrics,) = directory.glob("metrics*")
    if what == "none":
        shutil.rmtree(directory)
    else:
        content = metrics.read_bytes()
        metrics.write_bytes(content[: len(content) // 2] if what == "half" else b"")
    with pytest.raises(EvidenceError):
        read_evaluation(str(directory), has_baseline=False)
