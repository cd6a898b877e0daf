from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types import Channel, standard_artifacts

from components.model_gate.component import ModelGate
from components.model_gate.executor import Executor
from components.model_gate.rules import VERDICT_FILE, Verdict
from components.model_gate.thresholds import ThresholdsError

NAMES = ("cat", "dog", "red fox")
THRESHOLDS = {
    "accuracy_threshold": "0.97",
    "class_recall_threshold": "0.5",
    "max_loss": "1",
    "min_test_examples": 20,
    "baseline_tolerance": "0",
}


@pytest.fixture(autouse=True)
def names(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses three classes, regardless of the data definition."""
    toy.classes = len(NAMES)
    monkeypatch.setattr("components.model_gate.executor.CLASS_NAMES", NAMES)


def run_gate(evaluation: Any, **changes: object) -> tuple[Any, Verdict]:
    blessing = standard_artifacts.ModelBlessing()
    blessing.uri = f"{evaluation.artifact.uri}/../blessing"
    thresholds = json.dumps(THRESHOLDS | changes)
    Executor().Do(evaluation.inputs, {"blessing": [blessing]}, {"thresholds": thresholds})
    return blessing, Verdict.from_json(Path(blessing.uri, VERDICT_FILE).read_text())


def files(blessing: Any) -> list[str]:
    return sorted(path.name for path in Path(blessing.uri).iterdir())


def test_a_first_model_exactly_at_the_threshold_is_blessed(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate(toy.cases(right=97, wrong=3))
    blessing, verdict = run_gate(evaluation)
    assert verdict.blessed
    assert verdict.metrics["accuracy"] == 0.97
    assert verdict.class_names == NAMES
    assert files(blessing) == ["BLESSED", VERDICT_FILE]
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("current_model_id") == 1
    assert blessing.get_string_custom_property("current_model") == evaluation.model.uri
    assert not blessing.has_custom_property("baseline_model_id")


def test_nineteen_of_twenty_are_95_percent(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate(toy.cases(right=19, wrong=1))
    assert run_gate(evaluation, accuracy_threshold="0.95")[1].blessed


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        (18, 2, "accuracy 90% is below the 97% gate (18 of 20)"),
        (96, 4, "accuracy 96% is below the 97% gate (96 of 100)"),
    ],
)
def test_a_model_below_the_threshold_is_not_blessed(  # type: ignore[no-untyped-def]
    toy, evaluate, right: int, wrong: int, reason: str
) -> None:
    evaluation = evaluate(toy.cases(right, wrong))
    blessing, verdict = run_gate(evaluation)
    assert not verdict.blessed
    assert verdict.reason == reason
    assert files(blessing) == ["NOT_BLESSED", VERDICT_FILE]
    assert blessing.get_int_custom_property("blessed") == 0
    assert blessing.has_custom_property("blessed")


@pytest.mark.parametrize(("tolerance", "blessed"), [("0.02", True), ("0.01", False)])
def test_the_model_is_compared_with_the_baseline(  # type: ignore[no-untyped-def]
    toy, evaluate, tolerance: str, blessed: bool
) -> None:
    evaluation = evaluate(toy.cases(97, 3, baseline_wrong=1), with_baseline=True)
    blessing, verdict = run_gate(evaluation, baseline_tolerance=tolerance)
    assert verdict.blessed is blessed
    assert verdict.metrics["baseline_accuracy"] == 0.99
    assert blessing.get_int_custom_property("baseline_model_id") == 2
    assert blessing.get_string_custom_property("baseline_model").endswith("/baseline")


def test_a_model_that_predicts_nan_is_not_blessed(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    cases = [toy.Case(label=0, predicted=toy.NAN)] * 50 + toy.cases(right=50)
    _, verdict = run_gate(evaluate(cases), accuracy_threshold="0.5", class_recall_threshold="0")
    assert verdict.metrics["correct"] == 50
    assert verdict.reason == "loss: nan is not finite"


def test_a_model_evaluated_without_examples_is_not_blessed(evaluate) -> None:  # type: ignore[no-untyped-def]
    blessing, verdict = run_gate(evaluate([]))
    assert [check.name for check in verdict.checks] == ["evidence"]
    assert files(blessing) == ["NOT_BLESSED", VERDICT_FILE]


def test_a_baseline_without_metrics_prevents_the_blessing(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate(toy.cases(right=100))
    evaluation.baselines.append(toy.model("baseline", model_id=2))
    assert not run_gate(evaluation)[1].blessed


def test_the_verdict_has_the_checksum_of_the_model(toy, evaluate) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate(toy.cases(right=100))
    before = run_gate(evaluation)[1].model_sha256
    Path(evaluation.model.uri, "Format-Serving", "assets").mkdir(exist_ok=True)
    assert run_gate(evaluation)[1].model_sha256 == before
    Path(evaluation.model.uri, "Format-Serving", "assets", "new").touch()
    assert run_gate(evaluation)[1].model_sha256 != before


def test_the_component_rejects_invalid_thresholds_immediately() -> None:
    with pytest.raises(ThresholdsError, match="missing: accuracy_threshold, baseline_tolerance"):
        ModelGate(
            evaluation=Channel(type=standard_artifacts.ModelEvaluation),
            model=Channel(type=standard_artifacts.Model),
            thresholds='{"class_recall_threshold": "0", "max_loss": "1", "min_test_examples": 1}',
        )
