"""Stores executions and artifacts in ML Metadata like KFP.

Follows backend/src/v2/metadata/client.go and converter.go of kubeflow/pipelines. Docstrings name
the Go function that each function follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

Json = dict[str, Any]


class KfpMetadata:
    """Records KFP runs in a real ML Metadata store.

    Args:
      path: the store's SQLite file, created if missing.
    """

    def __init__(self, path: Path) -> None:
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(path)
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = MetadataStore(config)

    def start_run(self, pipeline: str, run_id: str, root: str) -> list[mlmd.Context]:
        """GetPipeline: creates and returns the contexts of a new run."""
        types = {
            name: self.store.put_context_type(mlmd.ContextType(name=name))
            for name in ("system.Pipeline", "system.PipelineRun")
        }
        existing = self.store.get_context_by_type_and_name("system.Pipeline", pipeline)
        run_context = mlmd.Context(type_id=types["system.PipelineRun"], name=run_id)
        run_context.custom_properties["pipeline_root"].string_value = root
        new = [run_context]
        if existing is None:
            new.append(mlmd.Context(type_id=types["system.Pipeline"], name=pipeline))
        self.store.put_contexts(new)
        return [
            self.store.get_context_by_type_and_name("system.Pipeline", pipeline),
            self.store.get_context_by_type_and_name("system.PipelineRun", run_id),
        ]

    def create_execution(
        self, contexts: list[mlmd.Context], task: str, executor_input: Json
    ) -> mlmd.Execution:
        """CreateExecution: records a running execution with its inputs."""
        type_id = self.store.put_execution_type(
            mlmd.ExecutionType(name="system.ContainerExecution")
        )
        execution = mlmd.Execution(type_id=type_id, last_known_state=mlmd.Execution.RUNNING)
        execution.custom_properties["task_name"].string_value = task
        json_format.ParseDict(
            executor_input["inputs"]["parameterValues"],
            execution.custom_properties["inputs"].struct_value,
        )
        events = [
            _event(mlmd.Event.INPUT, name, int(artifact["name"]))
            for name, listed in executor_input["inputs"]["artifacts"].items()
            for artifact in listed["artifacts"]
        ]
        return self._put(execution, events, contexts)

    def publish(
        self,
        execution: mlmd.Execution,
        state: mlmd.Execution.State,
        outputs: Mapping[str, int],
        contexts: list[mlmd.Context],
    ) -> None:
        """PublishExecution: records the final state and the outputs' ids by name."""
        execution.last_known_state = state
        events = [_event(mlmd.Event.OUTPUT, name, id_) for name, id_ in outputs.items()]
        self._put(execution, events, contexts)

    def _put(
        self,
        execution: mlmd.Execution,
        events: list[mlmd.Event],
        contexts: list[mlmd.Context],
    ) -> mlmd.Execution:
        pairs = []
        for event in events:
            (artifact,) = self.store.get_artifacts_by_id([event.artifact_id])
            pairs.append((artifact, event))
        id_, _, _ = self.store.put_execution(execution, pairs, contexts)
        (stored,) = self.store.get_executions_by_id([id_])
        return stored

    def record_artifact(self, name: str, artifact: Json) -> int:
        """RecordArtifact: stores the metadata and two more custom properties, returns the id."""
        title = yaml.safe_load(schema_text(artifact["type"]))["title"]
        record = mlmd.Artifact(
            type_id=self.store.put_artifact_type(mlmd.ArtifactType(name=title)),
            uri=artifact["uri"],
            state=mlmd.Artifact.LIVE,
        )
        for key, value in artifact.get("metadata", {}).items():
            record.custom_properties[key].CopyFrom(to_mlmd_value(value))
        for key, text in {"display_name": name, "store_session_info": "null"}.items():
            if key not in record.custom_properties:
                record.custom_properties[key].string_value = text
        (id_,) = self.store.put_artifacts([record])
        return id_

    def outputs(self, execution_id: int) -> dict[str, Json]:
        """GetOutputArtifactsByExecutionId: returns runtime artifacts, without their types."""
        events = self.store.get_events_by_execution_ids([execution_id])
        return {
            event.path.steps[0].key: self.runtime_artifact(event.artifact_id)
            for event in events
            if event.type == mlmd.Event.OUTPUT
        }

    def runtime_artifact(self, artifact_id: int) -> Json:
        """ToRuntimeArtifact: leaves the schema empty ("figure out how to get schema")."""
        (record,) = self.store.get_artifacts_by_id([artifact_id])
        return {
            "name": str(record.id),
            "uri": record.uri,
            "type": {"instanceSchema": ""},
            "metadata": {
                key: _from_mlmd_value(value) for key, value in record.custom_properties.items()
            },
        }

    def state(self, execution_id: int) -> str:
        """Returns the last known state of an execution, such as COMPLETE."""
        (execution,) = self.store.get_executions_by_id([execution_id])
        return mlmd.Execution.State.Name(execution.last_known_state)


def schema_text(schema: Json) -> str:
    """getArtifactSchema: returns YAML with the type's title."""
    if "instanceSchema" in schema:
        return schema["instanceSchema"]
    return f"title: {schema['schemaTitle']}"


def to_mlmd_value(value: Any) -> mlmd.Value:
    """StructValueToMLMDValue: wraps lists and dictionaries.

    Raises:
      ValueError: the value is None.
    """
    result = mlmd.Value()
    if isinstance(value, bool):
        result.int_value = int(value)
    elif isinstance(value, (int, float)):
        result.double_value = value
    elif isinstance(value, str):
        result.string_value = value
    elif isinstance(value, list):
        json_format.ParseDict({"list": value}, result.struct_value)
    elif isinstance(value, dict):
        json_format.ParseDict({"struct": value}, result.struct_value)
    else:
        raise ValueError(f"unknown/unsupported value type {type(value).__name__}")
    return result


def _from_mlmd_value(value: mlmd.Value) -> Any:
    """propertiesToMetadata: does not unwrap lists and dictionaries."""
    if value.HasField("struct_value"):
        return json_format.MessageToDict(value.struct_value)
    kind = value.WhichOneof("value")
    return float(value.int_value) if kind == "int_value" else getattr(value, kind)


def _event(type_: mlmd.Event.Type, name: str, artifact_id: int) -> mlmd.Event:
    path = mlmd.Event.Path(steps=[mlmd.Event.Path.Step(key=name)])
    return mlmd.Event(type=type_, artifact_id=artifact_id, path=path)
