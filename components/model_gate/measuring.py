"""Measures a model from its probabilities for the test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.model_gate.behavior import NOT_CHECKED, Paired, Rule
from components.model_gate.probe import Findings, Run
from components.model_gate.rules import IMPOSSIBLE, Confusion, Evaluated

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]

_BINS = 15

_TIE = 1e-3
"""Probabilities closer than this may be ranked differently in a batch of another size."""


def measure(
    findings: Findings,
    run: Run | None,
    candidate: Evaluated,
    baseline: Evaluated | None,
    label_counts: Mapping[int, int],
) -> dict[str, Any]:
    """Returns the fields of a `Behavior` that depend on the test images.

    Args:
      findings: of the process that ran the models.
      run: probabilities; None if the model was not run.
      candidate: the Evaluator's results.
      baseline: the Evaluator's results; None without a baseline.
      label_counts: ExampleGen's counts of the test images, by label; empty if unknown.
    """
    problems: dict[Rule, tuple[str, ...]] = dict(findings.problems.items())
    if run is None:
        unchecked = (NOT_CHECKED,)
        problems |= {"test_data": unchecked, "evaluation": unchecked}
        return {"problems": problems | {"baseline_run": unchecked if baseline else ()}}
    problems["test_data"] = _data_problems(run.labels, label_counts)
    problems["baseline_run"] = _baseline_problems(findings, run) if baseline else ()
    problems["evaluation"] = _evaluation_problems(run, candidate, baseline)
    classes = len(candidate.confusion.class_names)
    before = None if problems["baseline_run"] else run.baseline
    return {
        "problems": problems,
        "calibration_error": calibration_error(run.labels, run.candidate),
        "expected_errors": expected_errors(run.candidate),
        "baseline": None if before is None else paired(run.labels, run.candidate, before, classes),
    }


def _data_problems(labels: Labels, expected: Mapping[int, int]) -> tuple[str, ...]:
    values, counts = np.unique(labels, return_counts=True)
    received = dict(zip(values.tolist(), counts.tolist(), strict=True))
    if not expected or received == expected:
        return ()
    return (f"ExampleGen counted images by label as {dict(expected)}, received {received}",)


def _baseline_problems(findings: Findings, run: Run) -> tuple[str, ...]:
    reason = findings.baseline_problem
    if run.baseline is not None and run.baseline.shape != run.candidate.shape:
        reason = f"it returns probabilities of shape {run.baseline.shape}"
    return (f"the baseline can't be run: {reason}",) if reason else ()


def _evaluation_problems(
    run: Run, candidate: Evaluated, baseline: Evaluated | None
) -> tuple[str, ...]:
    problems = [confusion_problem("model", candidate.confusion, run.labels, run.candidate)]
    if baseline and run.baseline is not None and run.baseline.shape == run.candidate.shape:
        problems.append(confusion_problem("baseline", baseline.confusion, run.labels, run.baseline))
    return tuple(filter(None, problems))


def predictions(probabilities: Probabilities) -> Labels:
    """Returns the predicted labels, int64 of shape (n,), and -1 for invalid predictions.

    A prediction is invalid under the same conditions as in `evaluation.read_evaluation`.
    """
    predicted = np.argmax(probabilities, axis=1)  # The index of a NaN, if there is one.
    largest = np.take_along_axis(probabilities, predicted[:, np.newaxis], 1)[:, 0]
    return np.where((largest > 0) & (largest <= IMPOSSIBLE), predicted, -1)


def confusion(
    labels: Labels, probabilities: Probabilities, class_names: Sequence[str]
) -> Confusion:
    """Counts predictions by class."""
    size = len(class_names)
    counts = np.zeros((size, size + 1), np.int64)
    np.add.at(counts, (labels, predictions(probabilities)), 1)  # -1 is the last column.
    rows = counts.tolist()
    return Confusion(
        tuple(class_names),
        tuple(tuple(row[:size]) for row in rows),
        tuple(row[size] for row in rows),
    )


def confusion_problem(
    name: str, evaluated: Confusion, labels: Labels, probabilities: Probabilities
) -> str:
    """Compares TFMA's confusion matrix of a model with the model's own predictions.

    Args:
      name: names the model in the result.
      evaluated: TFMA's counts.
      labels: of the test images.
      probabilities: of the same images, shape (n, number of classes).

    Returns:
      The difference, or "" if there is none. Each image whose two largest probabilities are equal,
      except for rounding, may be counted for either class.
    """
    size = len(evaluated.class_names)
    if len(labels) and not 0 <= labels.min() <= labels.max() < size:
        return f"the test images have labels from {labels.min()} to {labels.max()}"
    own = confusion(labels, probabilities, evaluated.class_names)
    if own.supports != evaluated.supports:
        return (
            f"the evaluation of the {name} counts {evaluated.examples:,} images, but not of the "
            f"same classes as the {own.examples:,} test images"
        )
    moved = sum(
        abs(mine - theirs)
        for row, other in zip(_rows(own), _rows(evaluated), strict=True)
        for mine, theirs in zip(row, other, strict=True)
    )
    ranked = np.sort(probabilities, axis=1)
    ties = int(np.sum(ranked[:, -1] - ranked[:, -2] <= _TIE))
    if moved <= 2 * ties:  # A moved image is missing in one cell and added to another.
        return ""
    return (
        f"the evaluation counts {evaluated.correct:,} of {evaluated.examples:,} images as correct, "
        f"but the {name} itself classifies {own.correct:,} correctly"
        + ("" if own.correct != evaluated.correct else ", other ones")
    )


def calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Returns the expected calibration error (Guo et al., 2017) in [0, 1], with 15 equal bins.

    It is the mean difference between the largest probability and the accuracy of the images with
    about that probability. Invalid predictions count as wrong with probability 1.
    """
    predicted = predictions(probabilities)
    confidences = np.where(predicted >= 0, probabilities.max(axis=1).astype(np.float64), 1.0)
    bins = np.clip(np.ceil(confidences * _BINS).astype(int) - 1, 0, _BINS - 1)
    gaps = np.bincount(bins, confidences - (predicted == labels), minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def expected_errors(probabilities: Probabilities) -> float:
    """Returns the number of errors that the probabilities predict: the sum of 1 - the largest."""
    valid = predictions(probabilities) >= 0
    return float(np.clip(1 - probabilities[valid].max(axis=1).astype(np.float64), 0, 1).sum())


def paired(
    labels: Labels, candidate: Probabilities, baseline: Probabilities, classes: int
) -> Paired:
    """Counts the images that exactly one of two models classifies correctly, by label."""
    right, before = (predictions(given) == labels for given in (candidate, baseline))
    return Paired(
        correct=int(before.sum()),
        worse=tuple(np.bincount(labels[before & ~right], minlength=classes).tolist()),
        better=tuple(np.bincount(labels[right & ~before], minlength=classes).tolist()),
    )


def _rows(counted: Confusion) -> list[tuple[int, ...]]:
    return [(*row, invalid) for row, invalid in zip(counted.counts, counted.invalid, strict=True)]
