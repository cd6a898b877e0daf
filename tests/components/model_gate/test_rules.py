from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support
from support.behaviors import good_behavior

from components.model_gate.behavior import RULES, Behavior, Latency, Paired
from components.model_gate.best_release import BestRelease
from components.model_gate.checks import Check
from components.model_gate.rules import Confusion, Evaluated, Verdict, VerdictError, decide, reject
from components.model_gate.thresholds import Thresholds, ThresholdsError

SIZE = 10
VALUES = {
    "accuracy_threshold": "0.95",
    "class_recall_threshold": "0.9",
    "max_loss": "0.25",
    "min_test_examples": 20,
    "min_class_examples": 1,
    "max_calibration_error": "0.03",
    "max_overconfidence": "3",
    "max_model_mb": "100",
    "max_latency_ratio": "3",
    "baseline_alpha": "0.001",
}


def thresholds(**changes: object) -> Thresholds:
    return Thresholds.from_json(json.dumps(VALUES | changes))


def confusion(right: list[int], wrong: list[int], invalid: list[int] | None = None) -> Confusion:
    """Creates a confusion matrix from counts by label. Errors are predicted as the next class."""
    size = len(right)
    counts = [[0] * size for _ in range(size)]
    for label in range(size):
        counts[label][label] = right[label]
        counts[label][(label + 1) % size] = wrong[label]
    names = tuple(f"no. {label}" for label in range(size))
    return Confusion(names, tuple(map(tuple, counts)), tuple(invalid or [0] * size))


def spread(right: int, wrong: int, size: int = SIZE) -> Confusion:
    """Creates a confusion matrix with examples and errors spread evenly over the classes."""
    supports = [(right + wrong + size - 1 - label) // size for label in range(size)]
    errors = [(wrong + size - 1 - label) // size for label in range(size)]
    return confusion([s - e for s, e in zip(supports, errors, strict=True)], errors)


def evaluated(confusion: Confusion, loss: float | None = 0.1) -> Evaluated:
    return Evaluated(confusion, loss, top_2_accuracy=0.99)


def judge(evaluated: Evaluated, given: Thresholds, behavior: Behavior | None = None) -> Verdict:
    """Decides, for a model without problems unless `behavior` is given."""
    return decide(evaluated, behavior or good_behavior(), given, model_sha256="abc")


def find(verdict: Verdict, name: str) -> Check:
    (check,) = (check for check in verdict.checks if check.name == name)
    return check


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


@pytest.mark.parametrize("size", [2, 3, 10, 40])
def test_a_good_model_is_blessed_and_every_check_is_reported(size: int) -> None:
    good = spread(9938, 62, size)
    verdict = judge(evaluated(good, 0.0196198), thresholds())
    assert verdict.blessed
    assert verdict.reason == ""
    assert verdict.model_sha256 == "abc"
    assert verdict.class_names == good.class_names
    rows = {check.name: str(check.row) for check in verdict.checks}
    assert rows.pop("class_recall").startswith("lowest class recall 9")
    assert rows == {
        "thresholds": "thresholds: the accuracy threshold is above that of guessing",
        "examples": "test set size 10,000 ≥ 20",
        "class_examples": f"smallest class {10000 // size:,} ≥ 1",
        "accuracy": "accuracy 99.38% ≥ 95% (9,938 of 10,000)",
        "loss": "loss 0.0196 ≤ 0.25",
        "files": "files: regular files only",
        "operations": "operations: only operations that compute",
        "signatures": "signatures: complete, and they run",
        "probabilities": "probabilities: finite, and they sum to 1",
        "agreement": "agreement: all signatures agree",
        "repeatability": "repeatability: the same again and in other batches",
        "test_data": "test data: the images that ExampleGen wrote",
        "evaluation": "evaluation: matches the model's own predictions",
        "baseline_run": "baseline run: no baseline yet",
        "size": "model size in MB 4 ≤ 100",
        "latency": "time vs. baseline: no baseline yet",
        "calibration": "calibration error 0.29% ≤ 3%",
        "overconfidence": rows["overconfidence"],
        "regression": "p-value vs. baseline: no baseline yet",
        "class_regression": "lowest class p-value vs. baseline: no baseline yet",
        "best_release": "p-value vs. best release: no release was evaluated on this data",
    }
    assert verdict.metrics == {
        "accuracy": 0.9938,
        "loss": 0.0196198,
        "top_2_accuracy": 0.99,
        "examples": 10000,
        "correct": 9938,
        "baseline_accuracy": None,
    }


@pytest.mark.parametrize(
    ("right", "examples", "least", "blessed", "detail"),
    [
        (19, 20, "0.95", True, "95% ≥ 95% (19 of 20)"),
        (18, 20, "0.95", False, "90% < 95% (18 of 20)"),
        (97, 100, "0.97", True, "97% ≥ 97% (97 of 100)"),
        (96, 100, "0.97", False, "96% < 97% (96 of 100)"),
        (937, 1000, "0.95", False, "93.7% < 95% (937 of 1,000)"),
        (94998, 100000, "0.95", False, "94.998% < 95% (94,998 of 100,000)"),
        (9499, 10000, "0.95", False, "94.99% < 95% (9,499 of 10,000)"),
        (9500, 10000, "0.95", True, "95% ≥ 95% (9,500 of 10,000)"),
        (9512, 10000, "0.951201", False, "95.12% < 95.1201% (9,512 of 10,000)"),
    ],
)
def test_accuracy_is_compared_exactly_and_never_rounded_to_the_threshold(
    right: int, examples: int, least: str, blessed: bool, detail: str
) -> None:
    verdict = judge(
        evaluated(spread(right, examples - right)),
        thresholds(accuracy_threshold=least, class_recall_threshold="0"),
    )
    assert verdict.blessed is blessed
    assert failed(verdict) == ([] if blessed else ["accuracy"])
    check = find(verdict, "accuracy")
    assert str(check.row) == f"accuracy {detail}"
    assert check.value == right / examples
    assert verdict.reason == ("" if blessed else check.row.failure)


@pytest.mark.parametrize(
    ("correct", "blessed", "detail"),
    [(9, True, "90% ≥ 90% (class no. 8: 9 of 10)"), (8, False, "80% < 90% (class no. 8: 8 of 10)")],
)
def test_each_class_must_reach_the_recall_threshold(
    correct: int, blessed: bool, detail: str
) -> None:
    right, wrong = [100] * 10, [0] * 10
    right[8], wrong[8] = correct, 10 - correct
    verdict = judge(evaluated(confusion(right, wrong)), thresholds())
    assert failed(verdict) == ([] if blessed else ["class_recall"])
    assert find(verdict, "class_recall").value == correct / 10
    assert str(find(verdict, "class_recall").row) == f"lowest class recall {detail}"


def test_classes_below_the_threshold_are_listed_worst_first() -> None:
    right, wrong = [100] * 10, [0] * 10
    right[3], wrong[3] = 80, 20
    right[8], wrong[8] = 70, 30
    verdict = judge(evaluated(confusion(right, wrong)), thresholds())
    assert str(find(verdict, "class_recall").row) == (
        "lowest class recall 70% < 90% (class no. 8: 70 of 100, class no. 3: 80 of 100)"
    )
    assert find(verdict, "class_recall").value == 0.7


def test_only_the_worst_of_many_classes_are_listed() -> None:
    verdict = judge(evaluated(confusion([1] * 40, [9] * 40)), thresholds())
    detail = find(verdict, "class_recall").detail
    assert detail.endswith("class no. 4: 1 of 10 and 35 more")


def test_an_absent_class_fails_even_if_all_others_are_correct() -> None:
    right = [100] * 10
    right[4] = right[7] = 0
    verdict = judge(evaluated(confusion(right, [0] * 10)), thresholds())
    assert failed(verdict) == ["class_examples"]
    assert verdict.reason == (
        "smallest class 0 is below the 1 gate (class no. 4: 0, class no. 7: 0)"
    )
    assert verdict.per_class[4].recall is None


@pytest.mark.parametrize(
    ("least", "reason"), [(100, ""), (1001, "test set size 100 is below the 1,001 gate")]
)
def test_too_few_examples_fail(least: int, reason: str) -> None:
    verdict = judge(evaluated(spread(100, 0)), thresholds(min_test_examples=least))
    assert verdict.reason == reason


def test_an_empty_evaluation_fails() -> None:
    verdict = judge(
        evaluated(spread(0, 0)),
        thresholds(accuracy_threshold="0", class_recall_threshold="0"),
    )
    assert failed(verdict) == ["examples", "class_examples", "accuracy", "class_recall"]
    assert "accuracy: undefined without examples" in verdict.reason
    assert "and 5 more" in verdict.reason


@pytest.mark.parametrize("invalid", [5, 6])
def test_invalid_predictions_are_never_correct(invalid: int) -> None:
    verdict = judge(
        evaluated(confusion([10] * 9 + [10 - invalid], [0] * 10, [0] * 9 + [invalid])),
        thresholds(class_recall_threshold="0"),
    )
    assert verdict.blessed is (invalid == 5)
    assert verdict.metrics["examples"] == 100
    assert find(verdict, "accuracy").detail == f"{100 - invalid} of 100, {invalid} invalid"


@pytest.mark.parametrize(
    ("loss", "blessed", "detail"),
    [
        (0.25, True, "loss 0.25 ≤ 0.25"),
        (0.2500001, False, "loss 0.2500001 > 0.25"),
        (float("nan"), False, "loss: nan is not finite"),
        (float("inf"), False, "loss: inf is not finite"),
        (-0.1, False, "loss: -0.1 is negative"),
        (None, False, "loss: not reported"),
    ],
)
def test_loss_must_be_reported_finite_and_at_most_the_threshold(
    loss: float | None, blessed: bool, detail: str
) -> None:
    verdict = judge(evaluated(spread(100, 0), loss), thresholds())
    assert failed(verdict) == ([] if blessed else ["loss"])
    assert str(find(verdict, "loss").row) == detail
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_a_float_slightly_above_the_decimal_threshold_fails() -> None:
    verdict = judge(evaluated(spread(100, 0), 0.1), thresholds(max_loss="0.1"))
    assert str(find(verdict, "loss").row) == "loss 0.10000000000000001 > 0.1"


def paired(worse: list[int], better: list[int]) -> Behavior:
    """A candidate compared with a baseline that was right about 990 of 1,000 images."""
    return good_behavior(baseline=Paired(correct=990, worse=tuple(worse), better=tuple(better)))


@pytest.mark.parametrize(
    ("worse", "better", "blessed"),
    [
        (0, 0, True),
        (10, 0, True),  # 1 / 1024
        (11, 0, False),  # 1 / 2048 < 0.0005
        (80, 31, False),  # 49 more errors among 10,000 images
        (22, 14, True),  # another seed: 965 instead of 973 correct
        (0, 60, True),
    ],
)
def test_a_candidate_must_not_be_significantly_worse_than_the_baseline(
    worse: int, better: int, blessed: bool
) -> None:
    # In several classes, so that no class alone is significant.
    spread_out = ([worse // 10 + (i < worse % 10) for i in range(10)], [better // 10] * 10)
    spread_out[1][0] += better % 10
    verdict = judge(evaluated(spread(990, 10)), thresholds(), paired(*spread_out))
    assert failed(verdict) == ([] if blessed else ["regression"])
    assert verdict.metrics["baseline_accuracy"] == 0.99
    assert find(verdict, "regression").detail == f"{worse} newly wrong, {better} newly right"


@pytest.mark.parametrize(("worse", "blessed"), [(14, True), (15, False)])
def test_no_class_may_be_significantly_worse(worse: int, blessed: bool) -> None:
    """The level of each of 10 classes is 0.00005, between 1 / 2^15 and 1 / 2^14."""
    behavior = paired([0] * 7 + [worse, 0, 0], [20, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    verdict = judge(evaluated(spread(990, 10)), thresholds(), behavior)
    assert failed(verdict) == ([] if blessed else ["class_regression"])
    detail = f"class no. 7: {worse} newly wrong, 0 newly right"
    assert find(verdict, "class_regression").detail == detail


def test_the_level_0_disables_the_comparison() -> None:
    behavior = paired([0] * 9 + [500], [0] * 10)
    verdict = judge(evaluated(spread(990, 10)), thresholds(baseline_alpha="0"), behavior)
    assert verdict.blessed


def test_a_baseline_that_cannot_be_run_fails() -> None:
    behavior = good_behavior({"baseline_run": ("the baseline can't be run: it is damaged",)})
    verdict = judge(evaluated(spread(990, 10)), thresholds(), behavior)
    assert failed(verdict) == ["baseline_run", "regression", "class_regression"]
    assert verdict.reason.startswith("baseline run: the baseline can't be run: it is damaged")


def test_many_small_losses_are_compared_with_the_best_release() -> None:
    best = BestRelease(version="17", correct=9990, examples=10000, fingerprint="f" * 64)
    behavior = good_behavior(best_release=best)
    verdict = judge(evaluated(spread(9940, 60)), thresholds(), behavior)
    assert failed(verdict) == ["best_release"]


@pytest.mark.parametrize("rule", RULES)
def test_a_problem_of_any_rule_fails(rule: str) -> None:
    verdict = judge(
        evaluated(spread(100, 0)), thresholds(), good_behavior({rule: ("first", "second")})
    )
    assert rule in failed(verdict)
    assert f"{rule.replace('_', ' ')}: first; second" in verdict.reason


@pytest.mark.parametrize(
    ("name", "changes", "passes"),
    [
        ("size", {"size_bytes": 100_000_000}, True),
        ("size", {"size_bytes": 100_000_001}, False),
        ("calibration", {"calibration_error": 0.03}, True),
        ("calibration", {"calibration_error": 0.0301}, False),
        ("calibration", {"calibration_error": None}, False),
        ("overconfidence", {"expected_errors": None}, False),
        # The bound for 12 is 3 * 12 + 4 * 6 + 2 = 62.
        ("overconfidence", {"expected_errors": 12}, True),
        ("overconfidence", {"expected_errors": 11.9}, False),
        ("overconfidence", {"expected_errors": 0}, False),
        (
            "latency",
            {"latencies": [Latency(signature="serving_default", candidate=3, baseline=1)]},
            True,
        ),
        (
            "latency",
            {
                "latencies": [
                    Latency(signature="serving_default", candidate=1, baseline=1),
                    Latency(signature="serving_images", candidate=3.1, baseline=1),
                ]
            },
            False,
        ),
    ],
)
def test_measurements_are_compared_with_their_thresholds(
    name: str, changes: dict[str, object], passes: bool
) -> None:
    verdict = judge(evaluated(spread(9938, 62)), thresholds(), good_behavior(**changes))
    # A float slightly above the decimal threshold fails: 0.03 is below it.
    assert failed(verdict) == ([] if passes else [name])


@pytest.mark.parametrize(("least", "warns"), [("0", True), ("0.1", True), ("0.11", False)])
def test_an_accuracy_threshold_that_accepts_guesses_is_a_warning(least: str, warns: bool) -> None:
    verdict = judge(evaluated(spread(100, 0)), thresholds(accuracy_threshold=least))
    assert verdict.blessed
    expected = f"WARNING: accuracy_threshold {least} accepts a model that guesses"
    assert verdict.warning == (expected if warns else "")


def test_per_class_metrics_match_the_confusion_matrix() -> None:
    right, wrong = [10] * 10, [0] * 10
    right[1], wrong[1] = 6, 4
    verdict = judge(evaluated(confusion(right, wrong)), thresholds())
    one, two, three = verdict.per_class[1:4]
    assert (one.label, one.name) == (1, "no. 1")
    assert (one.support, one.correct, one.precision, one.recall) == (10, 6, 1.0, 0.6)
    assert one.f1 == pytest.approx(2 * 1.0 * 0.6 / 1.6)
    assert (two.precision, two.recall) == (10 / 14, 1.0)
    assert two.f1 == pytest.approx(2 * (10 / 14) / (10 / 14 + 1))
    assert (three.precision, three.recall, three.f1) == (1, 1, 1)
    assert verdict.confusion_matrix[1] == (0, 6, 4, 0, 0, 0, 0, 0, 0, 0)


def test_per_class_metrics_match_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    actual, predicted = generator.integers(0, 4, (2, 50))
    counts = np.bincount(actual * 4 + predicted, minlength=16).reshape(4, 4)
    given = Confusion(tuple("abcd"), tuple(map(tuple, counts.tolist())), (0,) * 4)
    expected = precision_recall_fscore_support(actual, predicted)
    verdict = judge(evaluated(given), thresholds())
    for metrics in verdict.per_class:
        found = (metrics.precision, metrics.recall, metrics.f1, metrics.support)
        assert found == pytest.approx(tuple(values[metrics.label] for values in expected))


def test_the_precision_of_a_class_never_predicted_is_undefined() -> None:
    right, wrong = [10] * 10, [0] * 10
    right[0], wrong[0] = 0, 10
    verdict = judge(evaluated(confusion(right, wrong)), thresholds())
    assert verdict.per_class[0].precision is None
    assert verdict.per_class[0].f1 == 0


def test_a_model_without_evidence_is_rejected_with_the_reason() -> None:
    verdict = reject("the metrics can't be read", "abc")
    assert not verdict.blessed
    assert verdict.reason == "evidence: the metrics can't be read"
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_a_verdict_round_trips_through_standard_json() -> None:
    verdict = judge(evaluated(spread(100, 0), float("nan")), thresholds())
    text = verdict.to_json()
    assert "NaN" not in text
    assert json.loads(text)["blessed"] is False
    assert Verdict.from_json(text) == verdict


def _forget_problems(verdict: dict[str, Any]) -> None:
    del verdict["behavior"]["problems"]["operations"]


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "blessed": lambda v: v.update(blessed=True),
    "no checks": lambda v: v.update(checks=[], blessed=True),
    "a check removed": lambda v: v["checks"].pop(),
    "a check added": lambda v: v["checks"].append({**v["checks"][0], "name": "extra"}),
    "a check passed": lambda v: v["checks"][2].update(passed=True),
    "a value": lambda v: v["checks"][2].update(value=1),
    "a threshold": lambda v: v["checks"][2].update(threshold=0),
    "accuracy": lambda v: v["metrics"].update(accuracy=0.99),
    "counts": lambda v: v["confusion_matrix"][0].__setitem__(0, 1000),
    "a row of the counts": lambda v: v["confusion_matrix"].pop(),
    "classes": lambda v: v["class_names"].pop(),
    "recall": lambda v: v["per_class"][0].update(recall=1),
    "thresholds": lambda v: v["thresholds"].update(accuracy_threshold="0"),
    "no evidence": lambda v: v.update(behavior=None),
    "a problem": lambda v: v["behavior"]["problems"].update(operations=["ReadFile"]),
    "a rule that was not checked": _forget_problems,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_verdict_that_does_not_follow_from_its_evidence_is_rejected(name: str) -> None:
    forged = json.loads(judge(evaluated(spread(90, 10)), thresholds()).to_json())
    assert Verdict.from_json(json.dumps(forged))
    FORGERIES[name](forged)
    with pytest.raises(VerdictError):
        Verdict.from_json(json.dumps(forged))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"blessed": true}'])
def test_other_text_is_not_a_verdict(text: str) -> None:
    with pytest.raises(VerdictError, match="Expected a gate's verdict: "):
        Verdict.from_json(text)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("accuracy_threshold", "1.01", "Input should be less than or equal to 1"),
        ("accuracy_threshold", "-0.1", "Input should be greater than or equal to 0"),
        ("accuracy_threshold", "NaN", "Input should be a finite number"),
        ("class_recall_threshold", "2", "Input should be less than or equal to 1"),
        ("max_loss", "Infinity", "Input should be a finite number"),
        ("max_loss", "0", "Input should be greater than 0"),
        ("min_test_examples", 0, "Input should be greater than or equal to 1"),
        ("max_loss", "1e999", "Input should be less than or equal to 1000000"),
        ("max_model_mb", "1e-999999999", "Decimal input should have no more than 30 decimal"),
        ("min_class_examples", 0, "Input should be greater than or equal to 1"),
        ("max_overconfidence", "0.9", "Input should be greater than or equal to 1"),
        ("baseline_alpha", "1", "Input should be less than 1"),
        ("extra", 1, "Extra inputs are not permitted"),
    ],
)
def test_thresholds_out_of_range_are_rejected(name: str, value: object, problem: str) -> None:
    with pytest.raises(ThresholdsError, match=f"Expected the gate's thresholds: {name}: {problem}"):
        thresholds(**{name: value})


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_threshold_is_required(name: str) -> None:
    values = {key: value for key, value in VALUES.items() if key != name}
    with pytest.raises(ThresholdsError, match=f"all of the gate's thresholds, missing: {name}.$"):
        Thresholds.from_json(json.dumps(values))


def test_json_numbers_are_read_as_exact_decimals() -> None:
    assert thresholds(accuracy_threshold=0.95) == thresholds()


def test_rules_import_neither_tensorflow_nor_tfx() -> None:
    code = (
        "import sys, components.model_gate.rules; "
        "print(sorted({'tensorflow', 'tfx', 'apache_beam', 'numpy'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
