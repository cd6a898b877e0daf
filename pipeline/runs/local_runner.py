"""Runs the pipeline here with TFX's own LocalDagRunner, and tells how each stage goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import launcher

from pipeline.runs import metadata
from pipeline.runs.metadata import Stage


class StageFailedError(Exception):
    """A stage ended as FAILED in ML Metadata though TFX raised no error of its own."""


class Observer(Protocol):
    """Is told of each stage as it begins and ends."""

    def began(self, name: str) -> None:
        """A stage begins; `name` is the component's id."""

    def ended(self, stage: Stage) -> None:
        """A stage has ended, in whatever state."""


@dataclass(frozen=True)
class RunResult:
    """What ML Metadata says of a run.

    Attributes:
      stages: those that began, by component id, in their order.
      missing: ids of the components that never began.
      error: what ended the run, if anything did.
    """

    stages: dict[str, Stage]
    missing: tuple[str, ...]
    error: Exception | None

    @property
    def failed(self) -> Stage | None:
        """The stage that did not succeed, if there is one."""
        return next((stage for stage in self.stages.values() if not stage.succeeded), None)

    @property
    def succeeded(self) -> bool:
        """Whether every component of the pipeline ran, or was cached, without an error."""
        return not (self.error or self.failed or self.missing)


def run_locally(pipeline: Pipeline, observer: Observer) -> RunResult:
    """Runs the pipeline's components one after the other, in this process.

    LocalDagRunner goes on, and ends well, when a stage fails without raising an error; this stops
    at the first stage that ML Metadata does not call COMPLETE or CACHED.

    Args:
      pipeline: one whose root the caller holds (`pipeline.runs.root_lock`).
      observer: told of each stage.
    """
    recorder = _Recorder(_database(pipeline), observer)
    recorder.mark_abandoned()
    error: Exception | None = None
    try:
        with mock.patch.object(launcher, "Launcher", recorder.launcher_class()):
            LocalDagRunner().run(pipeline)
    except Exception as raised:  # noqa: BLE001 - whatever a component raises is reported
        error = raised
    missing = [node.id for node in pipeline.components if node.id not in recorder.stages]
    return RunResult(stages=recorder.stages, missing=tuple(missing), error=error)


def _database(pipeline: Pipeline) -> Path:
    return Path(pipeline.metadata_connection_config.sqlite.filename_uri)


class _Recorder:
    """Reads each stage's state from ML Metadata when it has ended.

    LocalDagRunner has no hook around its stages, so its launcher is replaced by one that calls us.
    """

    def __init__(self, database: Path, observer: Observer) -> None:
        self.stages: dict[str, Stage] = {}
        self._database = database
        self._observer = observer

    def mark_abandoned(self) -> None:
        if self._database.exists():
            metadata.fail_abandoned_executions(metadata.open_store(self._database))

    def launcher_class(self) -> type[launcher.Launcher]:
        recorder = self

        class ObservedLauncher(launcher.Launcher):
            def launch(self) -> Any:
                name = self._pipeline_node.node_info.id
                run_id = self._pipeline_runtime_spec.pipeline_run_id.field_value.string_value
                recorder._observer.began(name)
                try:
                    info = super().launch()
                finally:
                    stage = recorder._record(name, run_id)
                if stage is None or not stage.succeeded:
                    raise StageFailedError(f"stage {name} failed; the log file says why")
                return info

        return ObservedLauncher

    def _record(self, name: str, run_id: str) -> Stage | None:
        stage = metadata.read_run(metadata.open_store(self._database), run_id).get(name)
        if stage is not None:
            self.stages[name] = stage
            self._observer.ended(stage)
        return stage
