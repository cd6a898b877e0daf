"""One check of the model gate, and its text on the console and in the report."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from models.validation import Frozen


@dataclass(frozen=True)
class Row:
    """A check as text, such as "accuracy 93.7% < 95% (937 of 1,000)".

    Attributes:
      label: name of the compared number.
      value: the model's value; empty if there is nothing to compare.
      sign: relation of the value to the threshold: one of ≥ ≤ < > =, or empty.
      threshold: the gate's threshold; empty if `value` is empty.
      detail: the counts behind the value, or the reason why it is missing; may be empty.
    """

    label: str
    value: str
    sign: str
    threshold: str
    detail: str

    def __str__(self) -> str:
        """Joins the parts in one line."""
        return self._joined(f"{self.value} {self.sign} {self.threshold}")

    @property
    def failure(self) -> str:
        """The reason for a failure, such as "accuracy 93.7% is below the 95% gate"."""
        side = "above" if self.sign == ">" else "below"
        return self._joined(f"{self.value} is {side} the {self.threshold} gate")

    def _joined(self, comparison: str) -> str:
        if not self.value:
            return f"{self.label}: {self.detail}"
        return f"{self.label} {comparison}" + (f" ({self.detail})" if self.detail else "")


class Check(Frozen):
    """One rule and its outcome.

    Attributes:
      name: name of the rule.
      rule: the requirement, as text.
      threshold: the gate's threshold; None if the rule has no number.
      value: the model's value; None if it is undefined, negative or not finite.
      passed: the outcome.
      detail: the counts behind the value, or the reason why it is missing; may be empty.
    """

    name: str
    rule: str
    threshold: int | float | None
    value: int | float | None
    passed: bool
    detail: str

    @property
    def row(self) -> Row:
        """The check as text. A failed value is never rounded to its threshold."""
        wording = _WORDING.get(self.name)
        if wording is None or self.value is None or self.threshold is None:
            label = wording.label if wording else self.name.replace("_", " ")
            return Row(label, "", "", "", self.detail)
        value, threshold = wording.form(self.value, self.threshold)
        sign = wording.passes if self.passed else wording.fails
        return Row(wording.label, value, sign, threshold, self.detail)


def percent(share: float | Fraction) -> str:
    """Formats a threshold: 0.951 as "95.1%"."""
    return f"{float(share) * 100:.10g}%"


@dataclass(frozen=True)
class _Wording:
    label: str
    passes: str
    fails: str
    form: Callable[[float, float], tuple[str, str]]


def _counts(value: float, threshold: float) -> tuple[str, str]:
    return f"{value:,}", f"{threshold:,}"


def _percents(value: float, threshold: float) -> tuple[str, str]:
    # The shortest decimal, 0.95, is the exact threshold; the float itself is slightly smaller.
    shown, bound = _distinct(_decimal(value) * 100, _decimal(threshold) * 100, decimals=2)
    return f"{shown}%", f"{bound}%"


def _numbers(value: float, threshold: float) -> tuple[str, str]:
    return _distinct(Decimal(value), _decimal(threshold), decimals=4)


def _p_values(value: float, threshold: float) -> tuple[str, str]:
    for digits in itertools.count(2):
        shown = f"{value:.{digits}g}", f"{threshold:.{digits}g}"
        if value == threshold or shown[0] != shown[1]:
            break
    return shown


_WORDING = {
    # Releases of earlier versions also have the checks "all_classes" and "baseline".
    "examples": _Wording("test set size", "≥", "<", _counts),
    "all_classes": _Wording("class count", "=", "<", _counts),
    "class_examples": _Wording("smallest class", "≥", "<", _counts),
    "accuracy": _Wording("accuracy", "≥", "<", _percents),
    "class_recall": _Wording("lowest class recall", "≥", "<", _percents),
    "loss": _Wording("loss", "≤", ">", _numbers),
    "baseline": _Wording("accuracy vs. baseline", "≥", "<", _percents),
    "size": _Wording("model size in MB", "≤", ">", _numbers),
    "latency": _Wording("time vs. baseline", "≤", ">", _numbers),
    "calibration": _Wording("calibration error", "≤", ">", _percents),
    "overconfidence": _Wording("errors", "≤", ">", _counts),
    "regression": _Wording("p-value vs. baseline", "≥", "<", _p_values),
    "class_regression": _Wording("lowest class p-value vs. baseline", "≥", "<", _p_values),
    "best_release": _Wording("p-value vs. best release", "≥", "<", _p_values),
}
"""Keyed by the name of the check. `components.model_gate.rules` creates the checks."""


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def _distinct(value: Decimal, bound: Decimal, decimals: int) -> tuple[str, str]:
    """Rounds both numbers, with enough decimals to show whether they differ."""
    for places in itertools.count(decimals):
        shown = _rounded(value, places), _rounded(bound, places)
        if value == bound or shown[0] != shown[1]:
            break
    return shown


def _rounded(value: Decimal, places: int) -> str:
    text = f"{value:,.{places}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
