"""Reads the runs of a pipeline root and their stages from ML Metadata."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import ml_metadata
from ml_metadata.proto import metadata_store_pb2

_STATES = metadata_store_pb2.Execution.State
_SUCCEEDED = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)


@dataclass(frozen=True)
class Artifact:
    """An artifact in ML Metadata, with its properties and custom properties in one mapping."""

    id: int
    uri: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """One execution of a component.

    Attributes:
      name: the component's id.
      state: name in ML Metadata's `Execution.State`: COMPLETE, CACHED, FAILED, RUNNING, or CANCELED
        for a stage that rejected the model.
      seconds: wall time from registration to the last change, or until now if RUNNING.
      outputs: artifacts, by output key.
    """

    name: str
    execution_id: int
    state: str
    seconds: float
    outputs: Mapping[str, Sequence[Artifact]] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether the stage has its outputs, from this run or (if cached) from an earlier one."""
        return _STATES.Value(self.state) in _SUCCEEDED


@dataclass(frozen=True)
class Run:
    """One run of the pipeline.

    Attributes:
      name: id of the run.
      started: start time, with the local time zone.
      stages: stages by component id, in execution order.
    """

    name: str
    started: datetime
    stages: Mapping[str, Stage]


def open_store(database: Path) -> ml_metadata.MetadataStore:
    """Opens the ML Metadata of a pipeline root."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(database)
    return ml_metadata.MetadataStore(config)


def read_stage(store: ml_metadata.MetadataStore, name: str, execution_id: int) -> Stage:
    """Reads one execution and its output artifacts."""
    (execution,) = store.get_executions_by_id([execution_id])
    outputs: dict[str, list[Artifact]] = {}
    events = [
        event
        for event in store.get_events_by_execution_ids([execution_id])
        if event.type == metadata_store_pb2.Event.OUTPUT
    ]
    artifacts = {a.id: a for a in store.get_artifacts_by_id([e.artifact_id for e in events])}
    for event in events:
        artifact = to_artifact(artifacts[event.artifact_id])
        outputs.setdefault(event.path.steps[0].key, []).append(artifact)
    state = _STATES.Name(execution.last_known_state)
    end = time.time() if state == "RUNNING" else execution.last_update_time_since_epoch / 1000
    return Stage(
        name=name,
        execution_id=execution_id,
        state=state,
        seconds=end - execution.create_time_since_epoch / 1000,
        outputs=outputs,
    )


def read_run(store: ml_metadata.MetadataStore, run_id: str) -> dict[str, Stage]:
    """Reads the stages of a run by component id, in execution order.

    Returns an empty mapping for an unknown run.
    """
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    if context is None:
        return {}
    stages = {}
    for execution in sorted(store.get_executions_by_context(context.id), key=lambda e: e.id):
        name = component_id(store, execution.id)
        stages[name] = read_stage(store, name, execution.id)
    return stages


def read_runs(store: ml_metadata.MetadataStore) -> Iterator[Run]:
    """Reads all runs, newest first."""
    contexts = store.get_contexts_by_type("pipeline_run")
    for context in sorted(contexts, key=lambda context: context.id, reverse=True):
        started = local_time(context.create_time_since_epoch)
        yield Run(context.name, started, read_run(store, context.name))


def fail_abandoned_executions(store: ml_metadata.MetadataStore) -> None:
    """Marks RUNNING executions of killed or interrupted runs as FAILED.

    The caller must hold the lock of the pipeline root, which guarantees that no run is active.
    """
    abandoned = [
        execution
        for execution in store.get_executions()
        if execution.last_known_state == metadata_store_pb2.Execution.RUNNING
    ]
    for execution in abandoned:
        execution.last_known_state = metadata_store_pb2.Execution.FAILED
    if abandoned:
        store.put_executions(abandoned)


def cancel_stage(store: ml_metadata.MetadataStore, run_id: str, name: str) -> None:
    """Marks a stage of a run as CANCELED."""
    (execution,) = store.get_executions_by_id([read_run(store, run_id)[name].execution_id])
    execution.last_known_state = metadata_store_pb2.Execution.CANCELED
    store.put_executions([execution])


def component_id(store: ml_metadata.MetadataStore, execution_id: int) -> str:
    """Reads the component id from the context of type `node`, `<pipeline>.<component id>`."""
    for context in store.get_contexts_by_execution(execution_id):
        if context.type == "node":
            return str(context.name.split(".", 1)[1])
    raise ValueError(f"expected execution {execution_id} in a context of type node, found none")


def local_time(milliseconds: int) -> datetime:
    """Converts milliseconds since the epoch to a time in the local time zone."""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone()


def to_artifact(message: metadata_store_pb2.Artifact) -> Artifact:
    """Converts an artifact from ML Metadata's protocol buffer."""
    properties = {
        name: getattr(value, value.WhichOneof("value"))
        for name, value in [*message.properties.items(), *message.custom_properties.items()]
    }
    return Artifact(id=message.id, uri=message.uri, properties=properties)
