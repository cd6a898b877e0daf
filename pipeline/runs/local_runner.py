"""Runs the pipeline with TFX's LocalDagRunner and reports the start and end of each stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ml_metadata import MetadataStore
from tfx.dsl.compiler.constants import PIPELINE_RUN_ID_PARAMETER_NAME
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable.runtime_parameter_utils import substitute_runtime_parameter
from tfx.proto.orchestration import pipeline_pb2

from components.common.errors import ModelRejectedError
from pipeline.runs import metadata
from pipeline.runs.metadata import Stage


class StageFailedError(Exception):
    """A stage is FAILED in ML Metadata, although TFX raised no error."""


class Observer(Protocol):
    """Receives the start and end of each stage. An exception from an observer ends the run."""

    def began(self, name: str) -> None:
        """Called when a stage starts; `name` is the component's id."""

    def ended(self, stage: Stage) -> None:
        """Called when a stage has ended in any state. An interrupted stage is still RUNNING."""


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run, from ML Metadata.

    Attributes:
      run_id: name of the run in ML Metadata.
      stages: the stages that started, by component id, in execution order.
      error: the error or interrupt that ended the run, if any. If a stage fails without raising an
        error, this is a StageFailedError.
    """

    run_id: str
    stages: dict[str, Stage]
    error: Exception | KeyboardInterrupt | None

    @property
    def failed(self) -> Stage | None:
        """The stage that did not succeed, if any."""
        return next((stage for stage in self.stages.values() if not stage.succeeded), None)

    @property
    def succeeded(self) -> bool:
        """Whether every stage completed or was cached."""
        return self.error is None


def run_locally(pipeline: Pipeline, observer: Observer) -> RunResult:
    """Runs the pipeline's components one after the other, in this process.

    Args:
      pipeline: its root must be locked by the caller (`pipeline.runs.root_lock`).
      observer: called at the start and end of each stage.
    """
    database = Path(pipeline.metadata_connection_config.sqlite.filename_uri)
    if database.exists():
        metadata.fail_abandoned_executions(metadata.open_store(database))
    runner = _ObservedRunner(database, observer)
    error: Exception | KeyboardInterrupt | None = None
    try:
        runner.run(pipeline)
    except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - the caller reports any error
        error = raised
    return RunResult(runner.run_id, runner.stages, error)


class _ObservedRunner(LocalDagRunner):
    """Runs one node at a time, because LocalDagRunner has no hooks around its nodes.

    If a stage fails without raising an error, LocalDagRunner continues and succeeds. This runner
    stops at the first stage that is neither COMPLETE nor CACHED in ML Metadata. A stage that
    rejects the model is marked CANCELED instead of FAILED, because rejecting it is correct.
    """

    def __init__(self, database: Path, observer: Observer) -> None:
        super().__init__()
        self.run_id = datetime.now().isoformat()  # noqa: DTZ005 - TFX's format of run ids
        self.stages: dict[str, Stage] = {}
        self._database = database
        self._observer = observer

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        """Runs a compiled pipeline; `run` calls this."""
        substitute_runtime_parameter(pipeline, {PIPELINE_RUN_ID_PARAMETER_NAME: self.run_id})
        for name, single in _single_nodes(pipeline):
            self._observer.began(name)
            try:
                super().run_with_ir(single, run_options)
            except ModelRejectedError:
                metadata.cancel_stage(self._store(), self.run_id, name)
                raise
            finally:
                self._record(name)
            if name not in self.stages or not self.stages[name].succeeded:
                raise StageFailedError(f"stage {name} failed: see the log file")

    def _store(self) -> MetadataStore:
        return metadata.open_store(self._database)

    def _record(self, name: str) -> None:
        stage = metadata.read_run(self._store(), self.run_id).get(name)
        if stage is not None:
            self.stages[name] = stage
            self._observer.ended(stage)


def _single_nodes(pipeline: Any) -> Iterator[tuple[str, Any]]:
    """Yields each node's id and a copy of the pipeline with only this node.

    Nodes find their inputs in ML Metadata, so they can run separately.
    """
    for node in pipeline.nodes:
        single = pipeline_pb2.Pipeline()
        single.CopyFrom(pipeline)
        del single.nodes[:]
        single.nodes.append(node)
        yield node.pipeline_node.node_info.id, single
