from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from components.model_gate.rules import Confusion, Evaluated, Verdict, VerdictError, decide, reject
from components.model_gate.thresholds import Thresholds, ThresholdsError

SIZE = 10
VALUES = {
    "accuracy_threshold": "0.95",
    "class_recall_threshold": "0.9",
    "max_loss": "0.25",
    "min_test_examples": 20,
    "baseline_tolerance": "0.005",
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


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


@pytest.mark.parametrize("size", [2, 3, 10, 40])
def test_a_good_model_is_blessed_and_every_check_is_reported(size: int) -> None:
    good = spread(9938, 62, size)
    verdict = decide(evaluated(good, 0.0196198), None, thresholds(), model_sha256="abc")
    assert verdict.blessed
    assert verdict.reason == ""
    assert verdict.model_sha256 == "abc"
    assert verdict.class_names == good.class_names
    assert {check.name: str(check.row) for check in verdict.checks} == {
        "examples": "test set size 10,000 ≥ 20",
        "all_classes": f"class count {size} = {size}",
        "accuracy": "accuracy 99.38% ≥ 95% (9,938 of 10,000)",
        "class_recall": str(verdict.checks[3].row),
        "loss": "loss 0.0196 ≤ 0.25",
        "baseline": "accuracy vs. baseline: no baseline yet",
    }
    assert str(verdict.checks[3].row).startswith("lowest class recall 9")
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
    verdict = decide(
        evaluated(spread(right, examples - right)),
        None,
        thresholds(accuracy_threshold=least, class_recall_threshold="0"),
    )
    assert verdict.blessed is blessed
    assert failed(verdict) == ([] if blessed else ["accuracy"])
    check = verdict.checks[2]
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
    verdict = decide(evaluated(confusion(right, wrong)), None, thresholds())
    assert failed(verdict) == ([] if blessed else ["class_recall"])
    assert verdict.checks[3].value == correct / 10
    assert str(verdict.checks[3].row) == f"lowest class recall {detail}"


def test_classes_below_the_threshold_are_listed_worst_first() -> None:
    right, wrong = [100] * 10, [0] * 10
    right[3], wrong[3] = 80, 20
    right[8], wrong[8] = 70, 30
    verdict = decide(evaluated(confusion(right, wrong)), None, thresholds())
    assert str(verdict.checks[3].row) == (
        "lowest class recall 70% < 90% (class no. 8: 70 of 100, class no. 3: 80 of 100)"
    )
    assert verdict.checks[3].value == 0.7


def test_only_the_worst_of_many_classes_are_listed() -> None:
    verdict = decide(evaluated(confusion([1] * 40, [9] * 40)), None, thresholds())
    detail = verdict.checks[3].detail
    assert detail.endswith("class no. 4: 1 of 10 and 35 more")


def test_an_absent_class_fails_even_if_all_others_are_correct() -> None:
    right = [100] * 10
    right[4] = right[7] = 0
    verdict = decide(evaluated(confusion(right, [0] * 10)), None, thresholds())
    assert failed(verdict) == ["all_classes"]
    assert verdict.reason == "class count 8 is below the 10 gate (absent: no. 4, no. 7)"
    assert verdict.per_class[4].recall is None


@pytest.mark.parametrize(
    ("least", "reason"), [(100, ""), (1001, "test set size 100 is below the 1,001 gate")]
)
def test_too_few_examples_fail(least: int, reason: str) -> None:
    verdict = decide(evaluated(spread(100, 0)), None, thresholds(min_test_examples=least))
    assert verdict.reason == reason


def test_an_empty_evaluation_fails() -> None:
    verdict = decide(
        evaluated(spread(0, 0)),
        None,
        thresholds(accuracy_threshold="0", class_recall_threshold="0"),
    )
    assert failed(verdict) == ["examples", "all_classes", "accuracy", "class_recall"]
    assert "accuracy: undefined without examples" in verdict.reason
    assert "and 5 more" in verdict.reason


@pytest.mark.parametrize("invalid", [5, 6])
def test_invalid_predictions_are_never_correct(invalid: int) -> None:
    verdict = decide(
        evaluated(confusion([10] * 9 + [10 - invalid], [0] * 10, [0] * 9 + [invalid])),
        None,
        thresholds(class_recall_threshold="0"),
    )
    assert verdict.blessed is (invalid == 5)
    assert verdict.metrics["examples"] == 100
    assert verdict.checks[2].detail == f"{100 - invalid} of 100, {invalid} invalid"


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
    verdict = decide(evaluated(spread(100, 0), loss), None, thresholds())
    assert failed(verdict) == ([] if blessed else ["loss"])
    assert str(verdict.checks[4].row) == detail
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_a_float_slightly_above_the_decimal_threshold_fails() -> None:
    verdict = decide(evaluated(spread(100, 0), 0.1), None, thresholds(max_loss="0.1"))
    assert str(verdict.checks[4].row) == "loss 0.10000000000000001 > 0.1"


@pytest.mark.parametrize(
    ("right", "baseline_right", "blessed"),
    [(990, 985, True), (985, 990, True), (984, 990, False), (990, 990, True)],
)
def test_the_candidate_may_be_worse_than_the_baseline_by_the_tolerance(
    right: int, baseline_right: int, blessed: bool
) -> None:
    verdict = decide(
        evaluated(spread(right, 1000 - right)),
        evaluated(spread(baseline_right, 1000 - baseline_right)),
        thresholds(),
    )
    assert failed(verdict) == ([] if blessed else ["baseline"])
    assert verdict.metrics["baseline_accuracy"] == baseline_right / 1000
    assert verdict.checks[5].threshold == pytest.approx(baseline_right / 1000 - 0.005)
    assert verdict.reason == (
        ""
        if blessed
        else "accuracy vs. baseline 98.4% is below the 98.5% gate "
        "(baseline 990 of 1,000, tolerance 0.5 points)"
    )


def test_accuracy_is_never_rounded_to_the_accuracy_of_the_baseline() -> None:
    verdict = decide(
        evaluated(spread(99998, 2)), evaluated(spread(99999, 1)), thresholds(baseline_tolerance="0")
    )
    assert verdict.reason.startswith(
        "accuracy vs. baseline 99.998% is below the 99.999% gate (baseline 99,999 of 100,000"
    )


def test_a_first_model_passes_without_a_baseline() -> None:
    check = decide(evaluated(spread(100, 0)), None, thresholds()).checks[5]
    assert check.passed
    assert check.threshold is None
    assert check.detail == "no baseline yet"


@pytest.mark.parametrize("other", [spread(110, 0), spread(100, 0, size=11)])
def test_a_baseline_evaluated_on_other_examples_fails(other: Confusion) -> None:
    verdict = decide(evaluated(spread(100, 0)), evaluated(other), thresholds())
    assert verdict.reason == (
        "accuracy vs. baseline: candidate and baseline were evaluated on different examples"
    )


def test_a_baseline_without_examples_fails() -> None:
    empty = evaluated(spread(0, 0))
    assert "baseline" in failed(decide(empty, empty, thresholds()))


def test_per_class_metrics_match_the_confusion_matrix() -> None:
    right, wrong = [10] * 10, [0] * 10
    right[1], wrong[1] = 6, 4
    verdict = decide(evaluated(confusion(right, wrong)), None, thresholds())
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
    verdict = decide(evaluated(given), None, thresholds())
    for metrics in verdict.per_class:
        found = (metrics.precision, metrics.recall, metrics.f1, metrics.support)
        assert found == pytest.approx(tuple(values[metrics.label] for values in expected))


def test_the_precision_of_a_class_never_predicted_is_undefined() -> None:
    right, wrong = [10] * 10, [0] * 10
    right[0], wrong[0] = 0, 10
    verdict = decide(evaluated(confusion(right, wrong)), None, thresholds())
    assert verdict.per_class[0].precision is None
    assert verdict.per_class[0].f1 == 0


def test_a_model_without_evidence_is_rejected_with_the_reason() -> None:
    verdict = reject("the metrics can't be read", "abc")
    assert not verdict.blessed
    assert verdict.reason == "evidence: the metrics can't be read"
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_a_verdict_round_trips_through_standard_json() -> None:
    verdict = decide(evaluated(spread(100, 0), float("nan")), None, thresholds())
    text = verdict.to_json()
    assert "NaN" not in text
    assert json.loads(text)["blessed"] is False
    assert Verdict.from_json(text) == verdict


@pytest.mark.parametrize("checks", ["none", "failed"])
def test_a_verdict_that_contradicts_its_checks_is_rejected(checks: str) -> None:
    blessed = json.loads(decide(evaluated(spread(100, 0)), None, thresholds()).to_json())
    if checks == "none":
        blessed["checks"] = []
    else:
        blessed["checks"][0]["passed"] = False
    with pytest.raises(VerdictError, match="Expected a verdict that matches its checks"):
        Verdict.from_json(json.dumps(blessed))


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
        ("baseline_tolerance", "-1", "Input should be greater than or equal to 0"),
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
