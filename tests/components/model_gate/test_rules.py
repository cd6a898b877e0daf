from __future__ import annotations

import json
import subprocess
import sys

import pytest

from components.model_gate.rules import (
    Confusion,
    Evaluated,
    Thresholds,
    ThresholdsError,
    Verdict,
    VerdictError,
    judge,
    refuse,
)

VALUES = {
    "accuracy": "0.95",
    "digit_accuracy": "0.9",
    "loss": "0.25",
    "min_examples": 20,
    "baseline_tolerance": "0.005",
}


def thresholds(**changes: object) -> Thresholds:
    return Thresholds.from_json(json.dumps(VALUES | changes))


def confusion(right: list[int], wrong: list[int], unanswered: list[int] | None = None) -> Confusion:
    """Of examples by digit; each wrong one was taken for the next digit."""
    counts = [[0] * 10 for _ in range(10)]
    for digit in range(10):
        counts[digit][digit] = right[digit]
        counts[digit][(digit + 1) % 10] = wrong[digit]
    return Confusion(tuple(map(tuple, counts)), tuple(unanswered or [0] * 10))


def spread(right: int, wrong: int) -> Confusion:
    """The same, spread over the digits: the wrong ones from 0 on, of equally many examples."""
    examples = [(right + wrong + 9 - digit) // 10 for digit in range(10)]
    wrongs = [(wrong + 9 - digit) // 10 for digit in range(10)]
    return confusion([e - w for e, w in zip(examples, wrongs, strict=True)], wrongs)


def evaluated(confusion: Confusion, loss: float | None = 0.1) -> Evaluated:
    return Evaluated(confusion, loss, top_2_accuracy=0.99)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_good_model_is_blessed_with_every_check_reported() -> None:
    verdict = judge(evaluated(spread(100, 0)), None, thresholds(), model_sha256="abc")
    assert verdict.blessed
    assert verdict.reason == ""
    assert verdict.model_sha256 == "abc"
    assert [check.name for check in verdict.checks] == [
        "examples",
        "all_digits",
        "accuracy",
        "digit_accuracy",
        "loss",
        "baseline",
    ]
    assert verdict.metrics == {
        "accuracy": 1,
        "loss": 0.1,
        "top_2_accuracy": 0.99,
        "examples": 100,
        "correct": 100,
        "baseline_accuracy": None,
    }


@pytest.mark.parametrize(
    ("right", "examples", "least", "blessed"),
    [
        (19, 20, "0.95", True),
        (18, 20, "0.95", False),
        (97, 100, "0.97", True),
        (96, 100, "0.97", False),
        (9499, 10000, "0.95", False),
        (9500, 10000, "0.95", True),
    ],
)
def test_accuracy_is_decided_exactly(right: int, examples: int, least: str, blessed: bool) -> None:
    verdict = judge(
        evaluated(spread(right, examples - right)),
        None,
        thresholds(accuracy=least, digit_accuracy="0"),
    )
    assert verdict.blessed is blessed
    assert failed(verdict) == ([] if blessed else ["accuracy"])
    check = verdict.checks[2]
    assert check.detail == f"{right} of {examples} were right"
    assert check.value == right / examples
    if not blessed:
        assert verdict.reason == (
            f"accuracy must be at least {least}, but {right} of {examples} were right"
        )


@pytest.mark.parametrize(("right_eights", "blessed"), [(9, True), (8, False)])
def test_each_digit_has_a_bound_of_its_own(right_eights: int, blessed: bool) -> None:
    right, wrong = [100] * 10, [0] * 10
    right[8], wrong[8] = right_eights, 10 - right_eights
    verdict = judge(evaluated(confusion(right, wrong)), None, thresholds())
    assert failed(verdict) == ([] if blessed else ["digit_accuracy"])
    assert verdict.checks[3].value == right_eights / 10
    assert verdict.checks[3].detail == f"{right_eights} of 10 of digit 8 were right"


def test_every_digit_below_the_bound_is_named() -> None:
    right, wrong = [100] * 10, [0] * 10
    right[3], wrong[3] = 80, 20
    right[8], wrong[8] = 70, 30
    verdict = judge(evaluated(confusion(right, wrong)), None, thresholds())
    assert verdict.checks[3].detail == ("80 of 100 of digit 3, 70 of 100 of digit 8 were right")
    assert verdict.checks[3].value == 0.7


def test_absent_digit_blocks_though_all_others_are_right() -> None:
    right = [100] * 10
    right[4] = right[7] = 0
    verdict = judge(evaluated(confusion(right, [0] * 10)), None, thresholds())
    assert failed(verdict) == ["all_digits"]
    assert verdict.reason == "all 10 digits must occur, but there was no 4, no 7"
    assert verdict.per_class[4].recall is None


@pytest.mark.parametrize(("least", "blessed"), [(100, True), (101, False)])
def test_too_few_examples_block(least: int, blessed: bool) -> None:
    verdict = judge(evaluated(spread(100, 0)), None, thresholds(min_examples=least))
    assert failed(verdict) == ([] if blessed else ["examples"])


def test_no_examples_at_all_block() -> None:
    verdict = judge(evaluated(spread(0, 0)), None, thresholds(accuracy="0", digit_accuracy="0"))
    assert failed(verdict) == ["examples", "all_digits", "accuracy", "digit_accuracy"]


@pytest.mark.parametrize("unanswered", [5, 6])
def test_unanswered_examples_are_never_right(unanswered: int) -> None:
    verdict = judge(
        evaluated(confusion([10] * 9 + [10 - unanswered], [0] * 10, [0] * 9 + [unanswered])),
        None,
        thresholds(digit_accuracy="0"),
    )
    assert verdict.blessed is (unanswered == 5)
    assert verdict.metrics["examples"] == 100
    assert verdict.checks[2].detail == (
        f"{100 - unanswered} of 100 were right, {unanswered} without an answer"
    )


@pytest.mark.parametrize(
    ("loss", "blessed", "detail"),
    [
        (0.25, True, "it is 0.25"),
        (0.2500001, False, "it is 0.25"),
        (float("nan"), False, "it is nan"),
        (float("inf"), False, "it is inf"),
        (-0.1, False, "it is -0.1"),
        (None, False, "it was not reported"),
    ],
)
def test_loss_must_be_reported_finite_and_low(
    loss: float | None, blessed: bool, detail: str
) -> None:
    verdict = judge(evaluated(spread(100, 0), loss), None, thresholds())
    assert failed(verdict) == ([] if blessed else ["loss"])
    assert verdict.checks[4].detail == detail
    assert Verdict.from_json(verdict.to_json()) == verdict


@pytest.mark.parametrize(
    ("right", "baseline_right", "blessed"),
    [(990, 985, True), (985, 990, True), (984, 990, False), (990, 990, True)],
)
def test_candidate_may_be_worse_than_the_baseline_by_the_tolerance(
    right: int, baseline_right: int, blessed: bool
) -> None:
    verdict = judge(
        evaluated(spread(right, 1000 - right)),
        evaluated(spread(baseline_right, 1000 - baseline_right)),
        thresholds(),
    )
    assert failed(verdict) == ([] if blessed else ["baseline"])
    assert verdict.metrics["baseline_accuracy"] == baseline_right / 1000
    assert verdict.checks[5].threshold == pytest.approx(baseline_right / 1000 - 0.005)
    if not blessed:
        assert verdict.reason == (
            "accuracy may be at most 0.005 below the newest blessed model's, "
            "but 984 of 1000 were right, against 990 of 1000"
        )


def test_first_model_has_no_baseline_and_passes_saying_so() -> None:
    check = judge(evaluated(spread(100, 0)), None, thresholds()).checks[5]
    assert check.passed
    assert check.threshold is None
    assert check.detail == "there is none: a first model has nothing to be compared with"


def test_baseline_on_other_examples_blocks() -> None:
    verdict = judge(evaluated(spread(100, 0)), evaluated(spread(110, 0)), thresholds())
    assert failed(verdict) == ["baseline"]
    assert "were not evaluated on the same examples" in verdict.reason


def test_baseline_without_examples_blocks() -> None:
    empty = evaluated(spread(0, 0))
    assert "baseline" in failed(judge(empty, empty, thresholds()))


def test_per_class_metrics_are_those_of_the_confusion_matrix() -> None:
    right, wrong = [10] * 10, [0] * 10
    right[1], wrong[1] = 6, 4
    verdict = judge(evaluated(confusion(right, wrong)), None, thresholds())
    one, two, three = verdict.per_class[1:4]
    assert (one.examples, one.correct, one.precision, one.recall) == (10, 6, 1.0, 0.6)
    assert one.f1 == pytest.approx(2 * 1.0 * 0.6 / 1.6)
    assert (two.precision, two.recall) == (10 / 14, 1.0)
    assert two.f1 == pytest.approx(2 * (10 / 14) / (10 / 14 + 1))
    assert (three.precision, three.recall, three.f1) == (1, 1, 1)
    assert verdict.confusion_matrix[1] == (0, 6, 4, 0, 0, 0, 0, 0, 0, 0)


def test_precision_of_a_digit_never_answered_is_undefined() -> None:
    right, wrong = [10] * 10, [0] * 10
    right[0], wrong[0] = 0, 10
    verdict = judge(evaluated(confusion(right, wrong)), None, thresholds())
    assert verdict.per_class[0].precision is None
    assert verdict.per_class[0].f1 == 0


def test_refusal_is_not_blessed_and_says_why() -> None:
    verdict = refuse("its metrics can't be read", "abc")
    assert not verdict.blessed
    assert verdict.reason == "the evaluation must be complete, but its metrics can't be read"
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_verdict_survives_json_and_holds_only_standard_json() -> None:
    verdict = judge(evaluated(spread(100, 0), float("nan")), None, thresholds())
    text = verdict.to_json()
    assert "NaN" not in text
    assert json.loads(text)["blessed"] is False
    assert Verdict.from_json(text) == verdict


@pytest.mark.parametrize("checks", ["none", "failed"])
def test_verdict_that_does_not_follow_from_its_checks_is_refused(checks: str) -> None:
    blessed = json.loads(judge(evaluated(spread(100, 0)), None, thresholds()).to_json())
    if checks == "none":
        blessed["checks"] = []
    else:
        blessed["checks"][0]["passed"] = False
    with pytest.raises(VerdictError, match="Expected a verdict that follows from its checks"):
        Verdict.from_json(json.dumps(blessed))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"blessed": true}'])
def test_text_that_is_no_verdict_is_refused(text: str) -> None:
    with pytest.raises(VerdictError, match="Expected a gate's verdict: "):
        Verdict.from_json(text)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("accuracy", "1.01", "accuracy: Input should be less than or equal to 1"),
        ("accuracy", "-0.1", "accuracy: Input should be greater than or equal to 0"),
        ("accuracy", "NaN", "accuracy: Input should be a finite number"),
        ("digit_accuracy", "2", "digit_accuracy: Input should be less than or equal to 1"),
        ("loss", "Infinity", "loss: Input should be a finite number"),
        ("loss", "0", "loss: Input should be greater than 0"),
        ("min_examples", 0, "min_examples: Input should be greater than or equal to 1"),
        ("baseline_tolerance", "-1", "baseline_tolerance: Input should be greater"),
        ("extra", 1, "extra: Extra inputs are not permitted"),
    ],
)
def test_thresholds_out_of_range_are_refused(name: str, value: object, problem: str) -> None:
    with pytest.raises(ThresholdsError, match=f"Expected the gate's thresholds: {problem}"):
        thresholds(**{name: value})


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_threshold_must_be_given(name: str) -> None:
    values = {key: value for key, value in VALUES.items() if key != name}
    with pytest.raises(ThresholdsError, match=f"{name}: Field required"):
        Thresholds.from_json(json.dumps(values))


def test_thresholds_given_as_json_numbers_mean_their_decimals() -> None:
    assert thresholds(accuracy=0.95) == thresholds()


def test_rules_need_neither_tensorflow_nor_tfx() -> None:
    code = (
        "import sys, components.model_gate.rules; "
        "print(sorted({'tensorflow', 'tfx', 'apache_beam', 'numpy'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
