"""Creates a pipeline root with synthetic runs in a real ML Metadata store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from support.report_inputs import make_verdict, perfect_matrix
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.common.provenance import ArtifactRecord, Data
from components.data_gate.schema import facts_schema
from components.example_gen.splits import SPLITS
from components.model_gate.rules import VERDICT_FILE
from components.report.content import REPORT_CONTENT, Report
from models.features import LABEL


class MadeUpRuns:
    """Records executions like TFX.

    Args:
      root: the pipeline root, which is created.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(root / "metadata.sqlite")
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = MetadataStore(config)
        self.run = ""

    def start(self, run: str) -> None:
        """Starts a run. Later executions belong to it."""
        type_id = self.store.put_context_type(mlmd.ContextType(name="pipeline_run"))
        self.store.put_contexts([mlmd.Context(type_id=type_id, name=run)])
        self.run = run

    def artifact(self, kind: str, **properties: str | int) -> int:
        """Creates an artifact with a directory and returns its id."""
        type_id = self.store.put_artifact_type(mlmd.ArtifactType(name=kind))
        number = len(self.store.get_artifacts()) + 1
        uri = self.root / kind / str(number)
        uri.mkdir(parents=True)
        artifact = mlmd.Artifact(type_id=type_id, uri=str(uri), state=mlmd.Artifact.LIVE)
        for name, value in properties.items():
            field = "int_value" if isinstance(value, int) else "string_value"
            setattr(artifact.custom_properties[name], field, value)
        (id_,) = self.store.put_artifacts([artifact])
        return int(id_)

    def uri(self, artifact: int) -> Path:
        (found,) = self.store.get_artifacts_by_id([artifact])
        return Path(found.uri)

    def execution(
        self,
        stage: str,
        inputs: Mapping[str, int] | None = None,
        outputs: Mapping[str, int] | None = None,
        state: mlmd.Execution.State = mlmd.Execution.COMPLETE,
    ) -> int:
        """Records an execution of a stage, with artifact ids by key, and returns its id."""
        type_id = self.store.put_execution_type(mlmd.ExecutionType(name=f"a.b.{stage}"))
        execution = mlmd.Execution(type_id=type_id, last_known_state=state)
        events = [
            *self._events(mlmd.Event.INPUT, inputs or {}),
            *self._events(mlmd.Event.OUTPUT, outputs or {}),
        ]
        contexts = [
            self.store.get_context_by_type_and_name("pipeline_run", self.run),
            self._node(stage),
        ]
        id_, _, _ = self.store.put_execution(execution, events, contexts)
        return int(id_)

    def _node(self, stage: str) -> mlmd.Context:
        name = f"mnist.{stage}"
        found = self.store.get_context_by_type_and_name("node", name)
        if found is None:
            type_id = self.store.put_context_type(mlmd.ContextType(name="node"))
            self.store.put_contexts([mlmd.Context(type_id=type_id, name=name)])
        return self.store.get_context_by_type_and_name("node", name)

    def _events(
        self, kind: mlmd.Event.Type, artifacts: Mapping[str, int]
    ) -> Sequence[tuple[mlmd.Artifact, mlmd.Event]]:
        pairs = []
        for key, id_ in artifacts.items():
            step = mlmd.Event.Path.Step(key=key)
            event = mlmd.Event(type=kind, artifact_id=id_, path=mlmd.Event.Path(steps=[step]))
            (artifact,) = self.store.get_artifacts_by_id([id_])
            pairs.append((artifact, event))
        return pairs

    def blessing(self, model: int, wrong: int = 0, blessed: int = 1) -> int:
        """Creates a blessing with a verdict on a model and returns its id.

        The verdict counts 9 examples of each class, of which `wrong` in class 0 are misclassified.
        """
        id_ = self.artifact("ModelBlessing", blessed=blessed, current_model_id=model)
        matrix = perfect_matrix()
        matrix[0][0], matrix[0][1] = 9 - wrong, wrong
        (self.uri(id_) / VERDICT_FILE).write_text(make_verdict(matrix).to_json())
        return id_

    def report(self, **content: Any) -> int:
        """Creates a report with this content only, and returns its id."""
        id_ = self.artifact("system.HTML")
        report = Report(
            model=ArtifactRecord(id=1, type="Model", uri="m"),
            data=Data(source="made up", fingerprint=None, counts={}),
            **content,
        )
        (self.uri(id_) / REPORT_CONTENT).write_text(report.to_json())
        return id_

    def schema(self, text: str) -> int:
        id_ = self.artifact("Schema")
        (self.uri(id_) / "schema.pbtxt").write_text(text)
        return id_

    def statistics(self, features: Sequence[statistics_pb2.FeatureNameStatistics]) -> int:
        """Creates statistics that are the same for each split, and returns their id."""
        dataset = statistics_pb2.DatasetFeatureStatistics(features=features)
        message = statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset])
        id_ = self.artifact("ExampleStatistics")
        self._write_splits(id_, "FeatureStats.pb", dict.fromkeys(SPLITS, message))
        return id_

    def anomalies(self, subject: str = LABEL, **descriptions: str) -> int:
        """Creates anomalies of a feature in the given splits, and returns their id."""
        messages = {split: anomalies_pb2.Anomalies() for split in SPLITS}
        for split, description in descriptions.items():
            messages[split].anomaly_info[subject].description = description
        id_ = self.artifact("ExampleAnomalies")
        self._write_splits(id_, "SchemaDiff.pb", messages)
        return id_

    def _write_splits(self, id_: int, name: str, messages: Mapping[str, Message]) -> None:
        for split, message in messages.items():
            directory = self.uri(id_) / f"Split-{split}"
            directory.mkdir()
            (directory / name).write_bytes(message.SerializeToString())

    def checked_data(self, name: str, **anomalies: str) -> None:
        """Records a run from data to the data gate, which fails if there are anomalies."""
        self.start(name)
        properties: dict[str, str | int] = {"source": "made up", "count_train": 1234}
        self.execution("ImageExampleGen", {}, {"examples": self.artifact("Examples", **properties)})
        self.execution("ImportSchemaGen", {}, {"schema": self.schema(facts_schema())})
        self.execution("StatisticsGen", {}, {"statistics": self.statistics([])})
        found = {"anomalies": self.anomalies(**anomalies)}
        self.execution("ExampleValidator", {}, found)
        state = mlmd.Execution.FAILED if anomalies else mlmd.Execution.COMPLETE
        self.execution("DataGate", found, state=state)

    def whole_run(
        self, name: str, wrong: int = 0, pushes: bool = True, **content: Any
    ) -> dict[str, int]:
        """Records a run whose Pusher succeeds, or fails if `pushes` is False.

        Args:
          name: of the run.
          wrong: number of wrong predictions.
          pushes: whether the Pusher succeeds.
          **content: of the report.

        Returns:
          Artifact ids by output name.
        """
        self.start(name)
        ids: dict[str, int] = {}
        ids["examples"] = self.artifact("Examples")
        self.execution("ImageExampleGen", outputs={"examples": ids["examples"]})
        ids["model"] = self.artifact("Model")
        self.execution("Trainer", {"examples": ids["examples"]}, {"model": ids["model"]})
        ids["blessing"] = self.blessing(ids["model"], wrong, blessed=int(pushes))
        self.execution("ModelGate", {"model": ids["model"]}, {"blessing": ids["blessing"]})
        ids["report"] = self.report(**content)
        self.execution("RunReport", {"blessing": ids["blessing"]}, {"report": ids["report"]})
        inputs = {key: ids[key] for key in ("model", "blessing", "examples")}
        if not pushes:
            self.execution("Pusher", inputs, state=mlmd.Execution.FAILED)
            return ids
        ids["pushed_model"] = self.artifact("PushedModel", pushed_version="17", up_to_date=0)
        self.execution("Pusher", inputs, {"pushed_model": ids["pushed_model"]})
        return ids


@pytest.fixture
def runs(tmp_path: Path) -> MadeUpRuns:
    return MadeUpRuns(tmp_path / "root")
