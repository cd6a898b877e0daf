"""The rules that a model must satisfy, evaluated exactly on integer counts and fractions.

TFMA's own thresholds compare float32 values, where 19/20 is less than 0.95.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pydantic import ValidationError

from components.model_gate.behavior import Behavior
from components.model_gate.behavior_checks import check_behavior, check_paired
from components.model_gate.best_release import check_best_release
from components.model_gate.checks import Check, percent
from components.model_gate.thresholds import Thresholds
from models.validation import Frozen, problems

IMPOSSIBLE = 1.001
"""Threshold above every probability. Predictions that TFMA counts at this threshold are invalid.

TFMA's confusion matrix uses the argmax, which returns the index of a NaN, and drops predictions
`<=` the threshold, which NaN never is. NaN would therefore count as correct whenever its index is
the label. At this threshold, TFMA counts only NaN and infinity, so these counts can be subtracted
(`tensorflow_model_analysis/metrics/multi_class_confusion_matrix_metrics.py`, 0.47 and 0.52).
"""

VERDICT_FILE = "verdict.json"
"""File with the `Verdict` in the gate's artifact `blessing`."""

WARNING = "WARNING"

_LISTED = 5
"""Maximum number of classes listed in a check."""

_NO_EXAMPLES = "undefined without examples"


class VerdictError(ValueError):
    """The text is not a verdict, or its checks don't follow from its own evidence."""


@dataclass(frozen=True)
class Confusion:
    """Counts of predictions by class.

    Attributes:
      class_names: class names, indexed by label.
      counts: `counts[actual][predicted]`, with one row and one column per class.
      invalid: number of invalid predictions, such as NaN, by actual label. They count toward the
        support and are never correct.
    """

    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    invalid: tuple[int, ...]

    @property
    def labels(self) -> range:
        """All labels, from 0."""
        return range(len(self.class_names))

    @property
    def supports(self) -> tuple[int, ...]:
        """Support of each class, by label."""
        return tuple(map(self.support, self.labels))

    @property
    def examples(self) -> int:
        """Number of examples, including invalid predictions."""
        return sum(self.supports)

    @property
    def correct(self) -> int:
        """Number of examples classified correctly."""
        return sum(self.counts[label][label] for label in self.labels)

    @property
    def accuracy(self) -> Fraction | None:
        """Fraction of examples classified correctly; None without examples."""
        return _ratio(self.correct, self.examples)

    def support(self, label: int) -> int:
        """Number of examples of a class, including invalid predictions."""
        return sum(self.counts[label]) + self.invalid[label]

    def recall(self, label: int) -> Fraction | None:
        """Fraction of a class's examples classified correctly; None without examples."""
        return _ratio(self.counts[label][label], self.support(label))

    def precision(self, label: int) -> Fraction | None:
        """Fraction of a class's predictions that are correct; None if it was never predicted."""
        return _ratio(self.counts[label][label], self._predicted(label))

    def f1(self, label: int) -> Fraction | None:
        """Harmonic mean of precision and recall; None without examples and predictions."""
        return _ratio(2 * self.counts[label][label], self._predicted(label) + self.support(label))

    def _predicted(self, label: int) -> int:
        return sum(row[label] for row in self.counts)


@dataclass(frozen=True)
class Evaluated:
    """The Evaluator's results for one model; None if a metric was not reported."""

    confusion: Confusion
    loss: float | None
    top_2_accuracy: float | None


class ClassMetrics(Frozen):
    """Metrics of one class; None where they are undefined."""

    label: int
    name: str
    support: int
    correct: int
    precision: float | None
    recall: float | None
    f1: float | None


class Verdict(Frozen):
    """The decision on a model and its evidence. Without evidence, the optional fields are empty.

    Attributes:
      blessed: whether every check passed.
      model_sha256: checksum of the model.
      class_names: class names, indexed by label.
      metrics: metrics over all examples, by name.
      checks: one check per rule.
      confusion_matrix: `confusion_matrix[actual][predicted]`.
      invalid: number of invalid predictions, by actual label.
      per_class: per-class metrics, indexed by label.
      thresholds: thresholds of the rules.
      behavior: results of running the model.
    """

    blessed: bool
    model_sha256: str
    class_names: tuple[str, ...] = ()
    metrics: dict[str, int | float | None] = {}
    checks: tuple[Check, ...]
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    invalid: tuple[int, ...] = ()
    per_class: tuple[ClassMetrics, ...] = ()
    thresholds: Thresholds | None = None
    behavior: Behavior | None = None

    @property
    def reason(self) -> str:
        """The failed checks, in one line; empty if the model is blessed."""
        return "; ".join(check.row.failure for check in self.checks if not check.passed)

    @property
    def warning(self) -> str:
        """A warning about the thresholds; empty if there is none."""
        return next(
            (c.detail for c in self.checks if c.name == "thresholds" and WARNING in c.detail), ""
        )

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Parses the output of `to_json`, and decides again from its evidence.

        Raises:
          VerdictError: if the text is not a verdict, or its evidence leads to another verdict.
        """
        try:
            verdict = cls.model_validate_json(text)
        except ValidationError as error:
            raise VerdictError(
                f"Expected a gate's verdict: {'; '.join(problems(error))}."
            ) from error
        different = verdict._differences(verdict._decided_again())
        if different:
            raise VerdictError(
                "Expected a verdict that matches its evidence, received other values of "
                f"{_listed(different)}."
            )
        return verdict

    def _decided_again(self) -> Verdict:
        """Repeats the decision. Without evidence, the model is rejected."""
        if self.thresholds is None or self.behavior is None:
            return reject(self.reason, self.model_sha256)
        size = len(self.class_names)
        rows = (*self.confusion_matrix, self.invalid)
        if not size or len(rows) != size + 1 or any(len(row) != size for row in rows):
            raise VerdictError(
                f"Expected a confusion matrix of the {size} classes, received {len(rows) - 1} rows "
                f"of {sorted({len(row) for row in rows})} numbers."
            )
        evaluated = Evaluated(
            Confusion(self.class_names, self.confusion_matrix, self.invalid),
            self.metrics.get("loss"),
            self.metrics.get("top_2_accuracy"),
        )
        return decide(evaluated, self.behavior, self.thresholds, self.model_sha256)

    def _differences(self, other: Verdict) -> list[str]:
        """Names the fields and checks that differ. The text of a check doesn't matter."""
        mine, others = (
            {check.name: check.model_copy(update={"detail": ""}) for check in verdict.checks}
            for verdict in (self, other)
        )
        return [
            *(
                name
                for name in ("blessed", "metrics", "per_class")
                if getattr(self, name) != getattr(other, name)
            ),
            *(name for name in {**mine, **others} if mine.get(name) != others.get(name)),
        ]


def read_verdict(directory: str) -> Verdict:
    """Reads the verdict from the gate's artifact `blessing`.

    Args:
      directory: URI of the artifact, a local directory.

    Raises:
      OSError: if the file can't be read.
      VerdictError: if `Verdict.from_json` rejects its content.
    """
    return Verdict.from_json(Path(directory, VERDICT_FILE).read_text(encoding="utf-8"))


def decide(
    candidate: Evaluated,
    behavior: Behavior,
    thresholds: Thresholds,
    model_sha256: str = "",
) -> Verdict:
    """Checks a model against every rule.

    Args:
      candidate: results of the Evaluator.
      behavior: results of running the model, and of comparing it with the baseline.
      thresholds: thresholds of the rules.
      model_sha256: checksum of the model.

    Returns:
      The verdict, with one check per rule. The model is blessed if every check passed.
    """
    confusion = candidate.confusion
    errors = confusion.examples - confusion.correct
    alpha = Fraction(thresholds.baseline_alpha)
    checks = (
        _check_examples(confusion, thresholds.min_test_examples),
        _check_class_examples(confusion, thresholds.min_class_examples),
        _check_accuracy(confusion, Fraction(thresholds.accuracy_threshold)),
        _check_class_recall(confusion, Fraction(thresholds.class_recall_threshold)),
        _check_loss(candidate.loss, Fraction(thresholds.max_loss)),
        *check_behavior(behavior, thresholds, errors),
        *check_paired(
            behavior.baseline,
            "; ".join(behavior.problems["baseline_run"]),
            confusion.class_names,
            alpha,
        ),
        check_best_release(
            confusion.correct,
            confusion.examples,
            behavior.fingerprint,
            behavior.best_release,
            alpha,
        ),
        _check_thresholds(thresholds, len(confusion.class_names)),
    )
    metrics = {
        "accuracy": _number(confusion.accuracy),
        "loss": _number(candidate.loss),
        "top_2_accuracy": _number(candidate.top_2_accuracy),
        "examples": confusion.examples,
        "correct": confusion.correct,
        "baseline_accuracy": _baseline_accuracy(behavior, confusion.examples),
    }
    return Verdict(
        blessed=_all_passed(checks),
        model_sha256=model_sha256,
        class_names=confusion.class_names,
        metrics=metrics,
        checks=checks,
        confusion_matrix=confusion.counts,
        invalid=confusion.invalid,
        per_class=tuple(_class_metrics(confusion, label) for label in confusion.labels),
        thresholds=thresholds,
        behavior=behavior,
    )


def reject(reason: str, model_sha256: str = "") -> Verdict:
    """Rejects a model without a usable evaluation.

    Args:
      reason: the problem with the evaluation.
      model_sha256: checksum of the model.
    """
    check = Check(
        name="evidence",
        rule="complete evaluation",
        threshold=None,
        value=None,
        passed=False,
        detail=reason,
    )
    return Verdict(blessed=False, model_sha256=model_sha256, checks=(check,))


def _check_thresholds(thresholds: Thresholds, classes: int) -> Check:
    """Always passes, but warns in the summary, the report and the manifest."""
    least = thresholds.accuracy_threshold
    guesses = Fraction(least) * classes <= 1
    return Check(
        name="thresholds",
        rule="an accuracy threshold above that of guessing",
        threshold=None,
        value=None,
        passed=True,
        detail=f"{WARNING}: accuracy_threshold {least} accepts a model that guesses"
        if guesses
        else "the accuracy threshold is above that of guessing",
    )


def _check_examples(confusion: Confusion, least: int) -> Check:
    return Check(
        name="examples",
        rule=f"at least {least:,} test examples",
        threshold=least,
        value=confusion.examples,
        passed=confusion.examples >= least,
        detail="",
    )


def _check_class_examples(confusion: Confusion, least: int) -> Check:
    smallest = min(confusion.supports)
    few = [
        f"class {name}: {support:,}"
        for name, support in zip(confusion.class_names, confusion.supports, strict=True)
        if support < least
    ]
    return Check(
        name="class_examples",
        rule=f"at least {least:,} test examples of each class",
        threshold=least,
        value=smallest,
        passed=not few,
        detail=_listed(few),
    )


def _check_accuracy(confusion: Confusion, least: Fraction) -> Check:
    accuracy, invalid = confusion.accuracy, sum(confusion.invalid)
    counts = f"{confusion.correct:,} of {confusion.examples:,}"
    if invalid:
        counts += f", {invalid:,} invalid"
    return Check(
        name="accuracy",
        rule=f"accuracy at least {percent(least)}",
        threshold=float(least),
        value=_number(accuracy),
        passed=accuracy is not None and accuracy >= least,
        detail=_NO_EXAMPLES if accuracy is None else counts,
    )


def _check_class_recall(confusion: Confusion, least: Fraction) -> Check:
    """Ignores absent classes, which `_check_class_examples` rejects."""
    recalls = ((confusion.recall(label), label) for label in confusion.labels)
    ranked = sorted((recall, label) for recall, label in recalls if recall is not None)
    worst = ranked[0][0] if ranked else None
    low = [label for recall, label in ranked if recall < least]
    return Check(
        name="class_recall",
        rule=f"recall of each class at least {percent(least)}",
        threshold=float(least),
        value=_number(worst),
        passed=worst is not None and not low,
        detail=_recall_detail(confusion, low or [label for _, label in ranked[:1]]),
    )


def _recall_detail(confusion: Confusion, labels: Sequence[int]) -> str:
    counts = [
        f"class {confusion.class_names[label]}: {confusion.counts[label][label]:,} of "
        f"{confusion.support(label):,}"
        for label in labels
    ]
    return _listed(counts) if counts else _NO_EXAMPLES


def _check_loss(loss: float | None, most: Fraction) -> Check:
    usable = loss is not None and math.isfinite(loss) and loss >= 0
    return Check(
        name="loss",
        rule=f"loss finite and at most {float(most):.10g}",
        threshold=float(most),
        value=loss if usable else None,
        passed=loss is not None and usable and Fraction(loss) <= most,
        detail=_loss_problem(loss),
    )


def _loss_problem(loss: float | None) -> str:
    if loss is None:
        return "not reported"
    if not math.isfinite(loss):
        return f"{loss} is not finite"
    return f"{loss:.6g} is negative" if loss < 0 else ""


def _baseline_accuracy(behavior: Behavior, examples: int) -> float | None:
    return _number(_ratio(behavior.baseline.correct, examples)) if behavior.baseline else None


def _class_metrics(confusion: Confusion, label: int) -> ClassMetrics:
    return ClassMetrics(
        label=label,
        name=confusion.class_names[label],
        support=confusion.support(label),
        correct=confusion.counts[label][label],
        precision=_number(confusion.precision(label)),
        recall=_number(confusion.recall(label)),
        f1=_number(confusion.f1(label)),
    )


def _all_passed(checks: tuple[Check, ...]) -> bool:
    return bool(checks) and all(check.passed for check in checks)


def _ratio(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _number(value: Fraction | float | None) -> float | None:
    """Converts to a JSON number. JSON has no NaN and no infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


def _listed(texts: Sequence[str]) -> str:
    """Joins the first texts and counts the rest."""
    more = len(texts) - _LISTED
    return ", ".join(texts[:_LISTED]) + (f" and {more} more" if more > 0 else "")
