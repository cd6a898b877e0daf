"""The results of a run's stages, in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.runs.metadata import Artifact, Stage
from pipeline.runs.summary import _DESCRIPTIONS, describe_stage, gates, summarize
from pipeline.stages import BASELINE, DATA_GATE, MODEL_GATE, PUSHER, STAGES, TRAINER

CHECK = {"name": "loss", "threshold": 0.25, "value": None, "passed": False, "detail": "loss nan"}


def _stage(name: str, state: str = "COMPLETE", **outputs: Artifact) -> Stage:
    return Stage(
        name=name,
        execution_id=1,
        state=state,
        seconds=1.0,
        outputs={key: [artifact] for key, artifact in outputs.items()},
    )


@pytest.fixture
def trained(tmp_path: Path) -> Stage:
    epochs = [{"val_accuracy": 0.5}, {"val_accuracy": 0.75}, {"val_accuracy": 0.25}]
    (tmp_path / "history.json").write_text(json.dumps({"best_epoch": 2, "epochs": epochs}))
    return _stage(TRAINER, model_run=Artifact(1, str(tmp_path), {}))


@pytest.fixture
def judged(tmp_path: Path) -> Stage:
    (tmp_path / "verdict.json").write_text(json.dumps({"checks": [CHECK]}))
    return _stage(MODEL_GATE, blessing=Artifact(2, str(tmp_path), {"blessed": 0}))


def test_training_is_described_by_its_best_epoch(trained: Stage) -> None:
    assert describe_stage(trained) == "3 epochs, best validation accuracy 75.00% in epoch 2"


def test_verdict_is_described(judged: Stage) -> None:
    assert describe_stage(judged) == "NOT BLESSED: 0 of 1 checks passed"


def test_baseline_is_described_whether_there_is_one_or_not() -> None:
    assert describe_stage(_stage(BASELINE, model=Artifact(8, "", {}))) == "model 8"
    assert describe_stage(_stage(BASELINE)) == "none yet"


def test_every_stage_has_a_description() -> None:
    assert set(STAGES) == set(_DESCRIPTIONS)


def test_failed_stage_has_no_description() -> None:
    assert not describe_stage(_stage(PUSHER, state="FAILED"))


def test_summary_of_a_run_that_stopped_early_says_that_nothing_was_pushed() -> None:
    rows = dict(summarize({DATA_GATE: _stage(DATA_GATE, state="FAILED")}))
    assert rows == {"release": "none (nothing was pushed)", "stage times": "DataGate 1.0 s"}


def test_gates_are_those_of_the_data_and_of_the_model(judged: Stage) -> None:
    rows = list(gates({DATA_GATE: _stage(DATA_GATE), MODEL_GATE: judged}))
    assert [row[:4] for row in rows] == [
        ("data", "-", "-", "passed"),
        ("loss", "0.25", "-", "FAILED"),
    ]


def test_failed_data_gate_is_the_only_one() -> None:
    rows = list(gates({DATA_GATE: _stage(DATA_GATE, state="FAILED")}))
    assert [row[:4] for row in rows] == [("data", "-", "-", "FAILED")]
