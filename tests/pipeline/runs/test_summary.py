"""The results of a run's stages, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.report_inputs import make_verdict, perfect_matrix

from components.model_gate.rules import VERDICT_FILE
from pipeline.runs.metadata import Artifact, Stage
from pipeline.runs.summary import (
    _DESCRIPTIONS,
    describe_stage,
    format_metrics,
    gates,
    run_facts,
    summarize,
)
from pipeline.stages import BASELINE, DATA_GATE, EXAMPLE_GEN, MODEL_GATE, PUSHER, STAGES, TRAINER


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
def rejected(tmp_path: Path) -> Stage:
    matrix = perfect_matrix()
    for label in (0, 1):
        matrix[label][label], matrix[label][1 - label] = 0, 9
    (tmp_path / VERDICT_FILE).write_text(make_verdict(matrix).to_json())
    return _stage(MODEL_GATE, blessing=Artifact(2, str(tmp_path), {"blessed": 0}))


def test_training_is_described_by_its_exported_epoch(trained: Stage) -> None:
    assert (
        describe_stage(trained) == "3 epochs, validation accuracy 75.00% in the exported epoch, 2"
    )


def test_precision_of_the_training_is_described_if_known(trained: Stage) -> None:
    file = Path(trained.outputs["model_run"][0].uri, "history.json")
    history = json.loads(file.read_text()) | {"precision": "bfloat16", "hardware": "Abacus"}
    file.write_text(json.dumps(history))
    assert describe_stage(trained).startswith("3 epochs in bfloat16, validation accuracy 75.")
    assert run_facts({TRAINER: trained})["training"] == {
        "epochs": 3,
        "best_epoch": 2,
        "precision": "bfloat16",
        "hardware": "Abacus",
    }


def test_facts_about_a_training_without_precision_are_null(trained: Stage) -> None:
    facts = run_facts({TRAINER: trained})["training"]
    assert facts == {"epochs": 3, "best_epoch": 2, "precision": None, "hardware": None}


def test_verdict_is_described(rejected: Stage) -> None:
    assert describe_stage(rejected) == "NOT BLESSED: 21 of 22 checks passed"


def test_baseline_is_described_whether_there_is_one_or_not() -> None:
    live = Artifact(8, "", {"version": "1795499283"})
    assert describe_stage(_stage(BASELINE, model=live)) == "version 1795499283"
    assert describe_stage(_stage(BASELINE)) == "none yet"


def test_every_stage_has_a_description() -> None:
    assert set(STAGES) == set(_DESCRIPTIONS)


def test_failed_stage_has_no_description() -> None:
    assert not describe_stage(_stage(PUSHER, state="FAILED"))


def test_summary_of_a_run_that_stopped_early_shows_that_nothing_was_pushed() -> None:
    rows = dict(summarize({DATA_GATE: _stage(DATA_GATE, state="FAILED")}))
    assert rows == {"release": "none (nothing was pushed)", "stage times": "DataGate 1.0 s"}


def test_rows_of_the_model_gate_are_those_that_its_description_counts(rejected: Stage) -> None:
    rows = list(gates({DATA_GATE: _stage(DATA_GATE), MODEL_GATE: rejected}))
    assert [(gate, row.label) for gate, row, _ in rows[:2]] == [
        ("data", "schema"),
        ("model", "test set size"),
    ]
    passed = [passed for gate, _, passed in rows if gate == "model"]
    assert f"{sum(passed)} of {len(passed)} checks" in describe_stage(rejected)


def test_failed_data_gate_is_the_only_row() -> None:
    rows = list(gates({DATA_GATE: _stage(DATA_GATE, state="FAILED")}))
    assert [(gate, passed) for gate, _, passed in rows] == [("data", False)]


def test_pusher_that_skipped_a_rejected_model_is_not_among_the_stage_times(rejected: Stage) -> None:
    skipped = _stage(PUSHER, state="CANCELED")
    assert describe_stage(skipped) == "model rejected"
    rows = dict(summarize({MODEL_GATE: rejected, PUSHER: skipped}))
    assert rows["stage times"] == "ModelGate 1.0 s"


def test_facts_of_a_run_that_stopped_early_are_empty() -> None:
    assert run_facts({EXAMPLE_GEN: _stage(EXAMPLE_GEN, state="FAILED")}) == {
        "data": None,
        "training": None,
        "metrics": {},
        "checks": [],
        "release": None,
        "stages": [{"name": EXAMPLE_GEN, "state": "FAILED", "seconds": 1.0}],
    }


def test_metrics_without_a_value_are_left_out() -> None:
    metrics = {"val_accuracy": 0.99105, "loss": 0.0196198, "examples": 10000, "baseline": None}
    assert list(format_metrics(metrics)) == [
        "validation accuracy 99.11%",
        "loss 0.0196",
        "examples 10,000",
    ]
