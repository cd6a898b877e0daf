"""The local runner, with TFX's own launcher and ML Metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from support.toy_pipeline import make_pipeline

from components.common.errors import ModelRejectedError
from pipeline.runs import metadata
from pipeline.runs.local_runner import RunResult, StageFailedError, run_locally
from pipeline.runs.metadata import Stage


@dataclass
class Recorder:
    """An observer that records its calls, and raises at the end of stage `stop_after`."""

    stop_after: str = ""
    seen: list[str] = field(default_factory=list)

    def began(self, name: str) -> None:
        self.seen.append(f"began {name}")

    def ended(self, stage: Stage) -> None:
        self.seen.append(f"{stage.name} {stage.state}")
        if stage.name == self.stop_after:
            raise RuntimeError("stop")


def states(result: RunResult) -> dict[str, str]:
    return {name: stage.state for name, stage in result.stages.items()}


def test_stages_are_reported_as_they_begin_and_end(tmp_path: Path) -> None:
    recorder = Recorder()
    result = run_locally(make_pipeline(tmp_path), recorder)
    assert result.succeeded
    assert recorder.seen == ["began Make", "Make COMPLETE", "began Use", "Use COMPLETE"]
    assert list(result.stages["Use"].outputs) == ["model"]


def test_all_stages_are_of_one_run_and_the_next_run_is_cached(tmp_path: Path) -> None:
    run_locally(make_pipeline(tmp_path), Recorder())
    result = run_locally(make_pipeline(tmp_path), Recorder())
    assert states(result) == {"Make": "CACHED", "Use": "CACHED"}
    store = metadata.open_store(tmp_path / "metadata.sqlite")
    runs = store.get_contexts_by_type("pipeline_run")
    assert [set(metadata.read_run(store, run.name)) for run in runs] == [{"Make", "Use"}] * 2


def test_error_ends_the_run(tmp_path: Path) -> None:
    recorder = Recorder()
    result = run_locally(make_pipeline(tmp_path, text="bad"), recorder)
    assert not result.succeeded
    assert str(result.error) == "bad examples"
    assert result.failed is not None
    assert result.failed.name == "Use"
    assert recorder.seen[-1] == "Use FAILED"


def test_stage_that_rejects_the_model_is_canceled(tmp_path: Path) -> None:
    recorder = Recorder()
    result = run_locally(make_pipeline(tmp_path, text="rejected"), recorder)
    assert isinstance(result.error, ModelRejectedError)
    assert states(result) == {"Make": "COMPLETE", "Use": "CANCELED"}
    assert recorder.seen[-1] == "Use CANCELED"
    store = metadata.open_store(tmp_path / "metadata.sqlite")
    assert metadata.read_run(store, result.run_id)["Use"].state == "CANCELED"


def test_interrupt_ends_the_run_with_its_stage_still_running(tmp_path: Path) -> None:
    recorder = Recorder()
    result = run_locally(make_pipeline(tmp_path, text="interrupted"), recorder)
    assert isinstance(result.error, KeyboardInterrupt)
    assert recorder.seen[-1] == "Use RUNNING"
    assert result.failed is not None
    assert 0 < result.failed.seconds < 60


def test_stage_that_fails_without_an_error_ends_the_run(tmp_path: Path) -> None:
    result = run_locally(make_pipeline(tmp_path, resolver=True), Recorder())
    assert states(result) == {"Make": "COMPLETE", "Find": "FAILED"}
    assert not result.succeeded
    with pytest.raises(StageFailedError, match="stage Find failed: see the log file"):
        raise result.error or AssertionError


def test_observer_can_end_the_run(tmp_path: Path) -> None:
    result = run_locally(make_pipeline(tmp_path), Recorder(stop_after="Make"))
    assert str(result.error) == "stop"
    assert (result.failed, states(result)) == (None, {"Make": "COMPLETE"})
    assert not result.succeeded


def test_executions_of_a_killed_run_are_marked_as_failed(tmp_path: Path) -> None:
    run_locally(make_pipeline(tmp_path), Recorder())
    store = metadata.open_store(tmp_path / "metadata.sqlite")
    (killed, _) = store.get_executions()
    killed.last_known_state = metadata_store_pb2.Execution.RUNNING
    store.put_executions([killed])
    run_locally(make_pipeline(tmp_path), Recorder())
    (found,) = store.get_executions_by_id([killed.id])
    assert found.last_known_state == metadata_store_pb2.Execution.FAILED
