"""Checks of a model's behavior: what it does, besides how often it is right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from components.model_gate.behavior import RULES, Behavior, Latency, Paired, Rule
from components.model_gate.best_release import sign_test
from components.model_gate.checks import Check, percent
from components.model_gate.thresholds import Thresholds

_NO_BASELINE = "no baseline yet"
_MEGABYTE = 10**6

_RULES: dict[Rule, tuple[str, str]] = {
    "files": ("regular files only, no links", "regular files only"),
    "operations": ("allowed operations only", "only operations that compute"),
    "signatures": ("all signatures, with the documented names and types", "complete, and they run"),
    "probabilities": (
        "finite probabilities that sum to 1 for all test images and for unusual images",
        "finite, and they sum to 1",
    ),
    "agreement": (
        "the same probabilities for an image as a PNG, as pixels and as an example",
        "all signatures agree",
    ),
    "repeatability": (
        "the same probabilities again, in another order and in other batches",
        "the same again and in other batches",
    ),
    "test_data": ("the test images that ExampleGen wrote", "the images that ExampleGen wrote"),
    "evaluation": (
        "the evaluation's counts match the model's own predictions",
        "matches the model's own predictions",
    ),
    "baseline_run": ("a baseline that runs, if there is one", "it runs"),
}
"""The requirement of each rule, and the detail of its check if there are no problems."""


def check_behavior(behavior: Behavior, thresholds: Thresholds, errors: int) -> Iterator[Check]:
    """Yields one check per rule, in the order of the verdict.

    Args:
      behavior: of the candidate.
      thresholds: thresholds of the rules.
      errors: number of misclassified test images.
    """
    for name in RULES:
        yield _check_problems(name, behavior)
    yield _check_size(behavior.size_bytes, Fraction(thresholds.max_model_mb))
    yield _check_latency(behavior, Fraction(thresholds.max_latency_ratio))
    yield _check_calibration(behavior.calibration_error, Fraction(thresholds.max_calibration_error))
    yield _check_overconfidence(
        behavior.expected_errors, errors, float(thresholds.max_overconfidence)
    )


def check_paired(
    paired: Paired | None, problem: str, class_names: Sequence[str], alpha: Fraction
) -> Iterator[Check]:
    """Yields the checks that a candidate is not significantly worse than the baseline.

    The level `alpha` holds for all of these tests together: one half is for all images, and the
    other half is divided among the classes.

    Args:
      paired: None if the models were not compared.
      problem: reason why they could not be compared; empty if there is no baseline.
      class_names: class names, indexed by label.
      alpha: level of all tests together; 0 never rejects.
    """
    level = alpha / 2
    yield _check_p_value("regression", "all images", level, _overall(paired), problem)
    level = alpha / 2 / len(class_names)
    lowest = min(_by_class(paired, class_names), default=None)
    yield _check_p_value("class_regression", "each class", level, lowest, problem)


def _overall(paired: Paired | None) -> tuple[Fraction, str] | None:
    if paired is None:
        return None
    worse, better = sum(paired.worse), sum(paired.better)
    return sign_test(worse, better), _counts(worse, better)


def _by_class(paired: Paired | None, class_names: Sequence[str]) -> Iterator[tuple[Fraction, str]]:
    if paired is None:
        return
    for name, worse, better in zip(class_names, paired.worse, paired.better, strict=True):
        yield sign_test(worse, better), f"class {name}: {_counts(worse, better)}"


def _counts(worse: int, better: int) -> str:
    return f"{worse:,} newly wrong, {better:,} newly right"


def _check_p_value(
    name: str, images: str, level: Fraction, found: tuple[Fraction, str] | None, problem: str
) -> Check:
    p_value, detail = found or (None, problem or _NO_BASELINE)
    return Check(
        name=name,
        rule=f"not worse than the baseline on {images} (McNemar's exact test, "
        f"level {float(level):.10g})",
        threshold=None if p_value is None else float(level),
        value=None if p_value is None else float(p_value),
        passed=not problem if p_value is None else p_value >= level,
        detail=detail,
    )


def _check_problems(name: Rule, behavior: Behavior) -> Check:
    problems = behavior.problems[name]
    rule, passed = _RULES[name]
    if name == "baseline_run" and behavior.baseline is None:
        passed = _NO_BASELINE
    return Check(
        name=name,
        rule=rule,
        threshold=None,
        value=None,
        passed=not problems,
        detail="; ".join(problems) or passed,
    )


def _check_size(size: int, most: Fraction) -> Check:
    return Check(
        name="size",
        rule=f"at most {float(most):.10g} MB",
        threshold=float(most),
        value=size / _MEGABYTE,
        passed=size <= most * _MEGABYTE,
        detail="",
    )


def _check_latency(behavior: Behavior, most: Fraction) -> Check:
    slowest = max(behavior.latencies, key=lambda latency: latency.ratio, default=None)
    return Check(
        name="latency",
        rule=f"at most {float(most):.10g} times the baseline's time for a single image",
        threshold=float(most),
        value=slowest.ratio if slowest else None,
        passed=slowest is None or Fraction(slowest.ratio) <= most,
        detail=_latency_detail(slowest),
    )


def _latency_detail(latency: Latency | None) -> str:
    if latency is None:
        return _NO_BASELINE
    times = f"{latency.candidate:.2f} ms, baseline {latency.baseline:.2f} ms"
    return f"{latency.signature}: {times}"


def _check_calibration(error: float | None, most: Fraction) -> Check:
    return Check(
        name="calibration",
        rule=f"expected calibration error at most {percent(most)}",
        threshold=float(most),
        value=error,
        passed=error is not None and Fraction(error) <= most,
        detail=_missing(error),
    )


def _check_overconfidence(expected: float | None, errors: int, factor: float) -> Check:
    """Bounds the errors by `factor` times those that the probabilities predict.

    The calibration error can't see that a model of 99% accuracy is always certain: it differs from
    the accuracy by 1% only. The bound is four standard deviations of a Poisson count above the
    prediction, plus two, so that chance alone does not exceed it.
    """
    if expected is None:
        most = None
    else:
        mean = factor * expected
        most = math.floor(mean + 4 * math.sqrt(mean) + 2)
    return Check(
        name="overconfidence",
        rule=f"at most {factor:.10g} errors for each error that the probabilities predict",
        threshold=most,
        value=None if most is None else errors,
        passed=most is not None and errors <= most,
        detail=_missing(expected)
        if expected is None
        else f"the probabilities predict {expected:,.1f} errors",
    )


def _missing(value: float | None) -> str:
    return "not measured, because the model was not run" if value is None else ""
