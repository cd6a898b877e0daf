from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.gate_models import Workbench, marked_examples
from tfx.types import Channel, standard_artifacts

from components.common.artifacts import saved_model_sha256
from components.common.properties import BEST_RELEASE
from components.model_gate.best_release import BestRelease
from components.model_gate.component import ModelGate
from components.model_gate.rules import VERDICT_FILE, Verdict
from components.model_gate.thresholds import ThresholdsError

ERRORS = 30


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def evaluated(bench: Workbench) -> dict[str, Any]:
    """A candidate that gets the first 30 images wrong, and a baseline that gets none wrong."""
    examples = bench.examples("examples", marked_examples(m1=range(ERRORS)))
    candidate = bench.save("candidate", bench.model(shifts={1: 1}))
    baseline = bench.save("baseline", bench.model())
    baseline.id = 2
    return {
        "examples": examples,
        "models": (candidate, baseline),
        "evaluation": bench.evaluate("evaluation", examples, candidate, baseline),
        "first": bench.evaluate("first", examples, candidate),
    }


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def files(blessing: Any) -> list[str]:
    return sorted(path.name for path in Path(blessing.uri).iterdir())


def test_a_first_model_is_blessed(bench: Workbench, evaluated: dict[str, Any]) -> None:
    candidate, _ = evaluated["models"]
    given = (evaluated["examples"], evaluated["first"], candidate)
    blessing, verdict = bench.decide("blessed", *given)
    assert failed(verdict) == []
    assert verdict.metrics["correct"] == 1100 - ERRORS
    assert verdict.model_sha256 == saved_model_sha256(candidate)
    assert files(blessing) == ["BLESSED", VERDICT_FILE]
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_int_custom_property("current_model_id") == 1
    assert blessing.get_string_custom_property("current_model") == candidate.uri
    assert not blessing.has_custom_property("baseline_model_id")


def test_a_model_that_is_worse_than_the_baseline_is_not_blessed(
    bench: Workbench, evaluated: dict[str, Any]
) -> None:
    candidate, baseline = evaluated["models"]
    best = BestRelease(version="9", correct=1100, examples=1100, fingerprint="f" * 64)
    baseline.set_string_custom_property(BEST_RELEASE, best.to_json())
    given = (evaluated["examples"], evaluated["evaluation"], candidate, baseline)
    blessing, verdict = bench.decide("worse", *given)
    assert failed(verdict) == ["regression", "best_release"]
    assert f"({ERRORS} newly wrong, 0 newly right)" in verdict.reason
    assert verdict.metrics["baseline_accuracy"] == 1
    assert files(blessing) == ["NOT_BLESSED", VERDICT_FILE]
    assert blessing.get_int_custom_property("blessed") == 0
    assert blessing.has_custom_property("blessed")
    assert blessing.get_int_custom_property("baseline_model_id") == 2
    assert blessing.get_string_custom_property("baseline_model") == baseline.uri


def test_a_damaged_baseline_fails_and_the_candidate_is_still_checked(
    bench: Workbench, evaluated: dict[str, Any]
) -> None:
    candidate, baseline = evaluated["models"]
    damaged = standard_artifacts.Model()
    damaged.uri = str(bench.directory / "damaged")
    shutil.copytree(baseline.uri, damaged.uri)
    Path(damaged.uri, "Format-Serving", "saved_model.pb").write_bytes(b"no graph")
    given = (evaluated["examples"], evaluated["evaluation"], candidate, damaged)
    _, verdict = bench.decide("unusable", *given)
    assert failed(verdict) == ["baseline_run", "regression", "class_regression"]
    assert "baseline run: the baseline can't be run: " in verdict.reason


def test_a_model_evaluated_without_examples_is_not_blessed(
    bench: Workbench, evaluated: dict[str, Any]
) -> None:
    images, labels = marked_examples()
    empty = bench.examples("no_examples", (images[:0], labels[:0]))
    candidate, _ = evaluated["models"]
    evaluation = bench.evaluate("empty", empty, candidate)
    blessing, verdict = bench.decide("unknown", empty, evaluation, candidate)
    assert failed(verdict) == ["evidence"]
    assert files(blessing) == ["NOT_BLESSED", VERDICT_FILE]


def test_a_model_that_ends_the_process_is_not_blessed(
    bench: Workbench, evaluated: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.model_gate.probe.TIMEOUT_SECONDS", 0.1)
    candidate, _ = evaluated["models"]
    given = (evaluated["examples"], evaluated["first"], candidate)
    _, verdict = bench.decide("hangs", *given)
    assert verdict.reason == (
        "evidence: the model can't be run in a new process: took longer than 0.1 seconds"
    )


def test_the_component_rejects_invalid_thresholds_immediately() -> None:
    with pytest.raises(ThresholdsError, match="missing: accuracy_threshold, baseline_alpha"):
        ModelGate(
            evaluation=Channel(type=standard_artifacts.ModelEvaluation),
            examples=Channel(type=standard_artifacts.Examples),
            model=Channel(type=standard_artifacts.Model),
            thresholds='{"class_recall_threshold": "0", "max_loss": "1", "min_test_examples": 1}',
        )
