"""The rules that a model has to satisfy, decided exactly: on integer counts and fractions.

TFMA's own thresholds compare float32 values, so that 19 right of 20 are below 0.95 there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from pydantic import ValidationError

from components.model_gate.thresholds import Thresholds
from models import features
from models.validation import Frozen, problems


class VerdictError(ValueError):
    """The text is not a verdict, or contradicts itself."""


@dataclass(frozen=True)
class Confusion:
    """How often each digit was taken for which.

    Attributes:
      counts: `counts[actual][predicted]`, NUM_CLASSES rows of NUM_CLASSES examples each.
      unanswered: by actual digit, the examples whose answer is no digit, such as NaN. They are
        examples like the others, and never right.
    """

    counts: tuple[tuple[int, ...], ...]
    unanswered: tuple[int, ...]

    @property
    def examples(self) -> int:
        """All of them, answered or not."""
        return sum(self.examples_of(digit) for digit in range(features.NUM_CLASSES))

    @property
    def correct(self) -> int:
        """Examples that were taken for what they are."""
        return sum(self.counts[digit][digit] for digit in range(features.NUM_CLASSES))

    @property
    def accuracy(self) -> Fraction | None:
        """Share of the examples that are right; None if there are none."""
        return _ratio(self.correct, self.examples)

    def examples_of(self, digit: int) -> int:
        """All examples of a digit, answered or not."""
        return sum(self.counts[digit]) + self.unanswered[digit]

    def recall(self, digit: int) -> Fraction | None:
        """Share of a digit's examples that are right; None if there are none."""
        return _ratio(self.counts[digit][digit], self.examples_of(digit))

    def precision(self, digit: int) -> Fraction | None:
        """Share of the answers with a digit that are right; None if it was never answered."""
        return _ratio(self.counts[digit][digit], sum(row[digit] for row in self.counts))

    def f1(self, digit: int) -> Fraction | None:
        """Harmonic mean of precision and recall; None without examples and answers."""
        answers = sum(row[digit] for row in self.counts)
        return _ratio(2 * self.counts[digit][digit], answers + self.examples_of(digit))


@dataclass(frozen=True)
class Evaluated:
    """What the Evaluator found about one model; None is what it did not report."""

    confusion: Confusion
    loss: float | None
    top_2_accuracy: float | None


class Check(Frozen):
    """One rule, and how the model fared with it. Numbers that are not finite become None."""

    name: str
    rule: str
    threshold: int | float | None
    value: int | float | None
    passed: bool
    detail: str


class Digit(Frozen):
    """Metrics of one digit; None where they are not defined, for want of examples."""

    digit: int
    examples: int
    correct: int
    precision: float | None
    recall: float | None
    f1: float | None


class Verdict(Frozen):
    """The decision on a model and all that it rests on; `verdict.json` holds it."""

    blessed: bool
    model_sha256: str
    metrics: dict[str, int | float | None]
    checks: tuple[Check, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    unanswered: tuple[int, ...]
    per_class: tuple[Digit, ...]

    @property
    def reason(self) -> str:
        """The checks that failed, in one line; empty if the model is blessed."""
        failed = (check for check in self.checks if not check.passed)
        return "; ".join(f"{check.rule}, but {check.detail}" for check in failed)

    def to_json(self) -> str:
        """Standard JSON, without NaN and infinity, indented for people."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Reads what `to_json` wrote.

        Raises:
          VerdictError: if the text is something else, or blesses despite a failed check.
        """
        try:
            verdict = cls.model_validate_json(text)
        except ValidationError as error:
            raise VerdictError(
                f"Expected a gate's verdict: {'; '.join(problems(error))}."
            ) from error
        if verdict.blessed != _all_passed(verdict.checks):
            raise VerdictError(
                f"Expected a verdict that follows from its checks, received blessed="
                f"{verdict.blessed} with these failed: {verdict.reason or 'none'}."
            )
        return verdict


def judge(
    candidate: Evaluated, baseline: Evaluated | None, thresholds: Thresholds, model_sha256: str = ""
) -> Verdict:
    """Decides whether a model is good enough.

    Args:
      candidate: the model's evaluation.
      baseline: that of the model to compare with, on the same examples; None if it is the first.
      thresholds: what is demanded.
      model_sha256: identity of the candidate, for the verdict.

    Returns:
      The verdict, with one check for each rule: blessed if all of them passed.
    """
    confusion = candidate.confusion
    checks = (
        _check_examples(confusion, thresholds.min_test_examples),
        _check_all_digits(confusion),
        _check_accuracy(confusion, Fraction(thresholds.accuracy_threshold)),
        _check_digit_accuracy(confusion, Fraction(thresholds.class_recall_threshold)),
        _check_loss(candidate.loss, Fraction(thresholds.max_loss)),
        _check_baseline(confusion, baseline, Fraction(thresholds.baseline_tolerance)),
    )
    metrics = {
        "accuracy": _number(confusion.accuracy),
        "loss": _number(candidate.loss),
        "top_2_accuracy": _number(candidate.top_2_accuracy),
        "examples": confusion.examples,
        "correct": confusion.correct,
        "baseline_accuracy": _number(baseline.confusion.accuracy if baseline else None),
    }
    return Verdict(
        blessed=_all_passed(checks),
        model_sha256=model_sha256,
        metrics=metrics,
        checks=checks,
        confusion_matrix=confusion.counts,
        unanswered=confusion.unanswered,
        per_class=tuple(_digit(confusion, digit) for digit in range(features.NUM_CLASSES)),
    )


def refuse(reason: str, model_sha256: str = "") -> Verdict:
    """The verdict on a model of which there is no evidence: not blessed.

    Args:
      reason: what is missing or unreadable, as a clause.
      model_sha256: identity of the model, for the verdict.
    """
    check = Check(
        name="evidence",
        rule="the evaluation must be complete",
        threshold=None,
        value=None,
        passed=False,
        detail=reason,
    )
    return Verdict(
        blessed=False,
        model_sha256=model_sha256,
        metrics={},
        checks=(check,),
        confusion_matrix=(),
        unanswered=(),
        per_class=(),
    )


def _check_examples(confusion: Confusion, least: int) -> Check:
    return Check(
        name="examples",
        rule=f"at least {least} examples must be evaluated",
        threshold=least,
        value=confusion.examples,
        passed=confusion.examples >= least,
        detail=f"there were {confusion.examples}",
    )


def _check_all_digits(confusion: Confusion) -> Check:
    digits = range(features.NUM_CLASSES)
    absent = [str(digit) for digit in digits if not confusion.examples_of(digit)]
    return Check(
        name="all_digits",
        rule=f"all {features.NUM_CLASSES} digits must occur",
        threshold=features.NUM_CLASSES,
        value=features.NUM_CLASSES - len(absent),
        passed=not absent,
        detail=f"there was no {', no '.join(absent)}" if absent else "all of them did",
    )


def _check_accuracy(confusion: Confusion, least: Fraction) -> Check:
    accuracy = confusion.accuracy
    unanswered = sum(confusion.unanswered)
    detail = f"{confusion.correct} of {confusion.examples} were right"
    return Check(
        name="accuracy",
        rule=f"accuracy must be at least {_shown(least)}",
        threshold=float(least),
        value=_number(accuracy),
        passed=accuracy is not None and accuracy >= least,
        detail=detail + (f", {unanswered} without an answer" if unanswered else ""),
    )


def _check_digit_accuracy(confusion: Confusion, least: Fraction) -> Check:
    """Of each digit that occurs; that all of them do is a rule of its own."""
    recalls = {
        digit: recall
        for digit in range(features.NUM_CLASSES)
        if (recall := confusion.recall(digit)) is not None
    }
    worst = min(recalls, key=lambda digit: recalls[digit], default=None)
    shown = [digit for digit, recall in recalls.items() if recall < least or digit == worst]
    parts = (
        f"{confusion.counts[digit][digit]} of {confusion.examples_of(digit)} of digit {digit}"
        for digit in shown
    )
    return Check(
        name="digit_accuracy",
        rule=f"accuracy on each digit must be at least {_shown(least)}",
        threshold=float(least),
        value=None if worst is None else float(recalls[worst]),
        passed=worst is not None and recalls[worst] >= least,
        detail=f"{', '.join(parts)} were right" if shown else "there were no examples",
    )


def _check_loss(loss: float | None, most: Fraction) -> Check:
    usable = loss is not None and math.isfinite(loss) and loss >= 0
    return Check(
        name="loss",
        rule=f"loss must be finite and at most {_shown(most)}",
        threshold=float(most),
        value=_number(loss),
        passed=usable and loss is not None and Fraction(loss) <= most,
        detail="it was not reported" if loss is None else f"it is {loss:.6g}",
    )


def _check_baseline(confusion: Confusion, baseline: Evaluated | None, tolerance: Fraction) -> Check:
    least, passed, detail = _compare(confusion, baseline.confusion if baseline else None, tolerance)
    return Check(
        name="baseline",
        rule=f"accuracy may be at most {_shown(tolerance)} below the newest blessed model's",
        threshold=_number(least),
        value=_number(confusion.accuracy),
        passed=passed,
        detail=detail,
    )


def _compare(
    candidate: Confusion, baseline: Confusion | None, tolerance: Fraction
) -> tuple[Fraction | None, bool, str]:
    """The accuracy that the candidate needs, whether it has it, and why."""
    if baseline is None:
        return None, True, "there is none: a first model has nothing to be compared with"
    detail = (
        f"{candidate.correct} of {candidate.examples} were right, "
        f"against {baseline.correct} of {baseline.examples}"
    )
    digits = range(features.NUM_CLASSES)
    if any(candidate.examples_of(digit) != baseline.examples_of(digit) for digit in digits):
        return None, False, f"they were not evaluated on the same examples: {detail}"
    if candidate.accuracy is None or baseline.accuracy is None:
        return None, False, "there were no examples"
    least = baseline.accuracy - tolerance
    return least, candidate.accuracy >= least, detail


def _digit(confusion: Confusion, digit: int) -> Digit:
    return Digit(
        digit=digit,
        examples=confusion.examples_of(digit),
        correct=confusion.counts[digit][digit],
        precision=_number(confusion.precision(digit)),
        recall=_number(confusion.recall(digit)),
        f1=_number(confusion.f1(digit)),
    )


def _all_passed(checks: tuple[Check, ...]) -> bool:
    return bool(checks) and all(check.passed for check in checks)


def _ratio(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _number(value: Fraction | float | None) -> float | None:
    """For JSON, which has no NaN and no infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


def _shown(value: Fraction) -> str:
    return f"{float(value):.10g}"
