"""The Resolver strategy for the baseline, alone and in a real pipeline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from support.tfx_executors import BEAM_ARGS
from tfx.components.evaluator.component import Evaluator
from tfx.dsl.components.common.importer import Importer
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.types import Artifact, Channel, standard_artifacts

from components.baseline.resolver import NewestOtherBlessedModel
from components.common.errors import ModelRejectedError
from components.model_gate.component import ModelGate
from components.model_gate.eval_config import make_eval_config
from components.model_gate.rules import VERDICT_FILE
from components.pusher.component import Pusher


def make_model(directory: Path, model_id: int) -> Artifact:
    model = standard_artifacts.Model()
    model.id, model.uri = model_id, str(directory / f"model-{model_id}")
    saved_model = Path(model.uri) / "Format-Serving" / "saved_model.pb"
    saved_model.parent.mkdir(parents=True)
    saved_model.touch()
    return model


def make_blessing(blessing_id: int, model: int, blessed: int | None) -> Artifact:
    blessing = standard_artifacts.ModelBlessing()
    blessing.id = blessing_id
    blessing.set_int_custom_property("current_model_id", model)
    if blessed is not None:
        blessing.set_int_custom_property("blessed", blessed)
    return blessing


def resolve(
    models: Sequence[Artifact], blessings: Sequence[Artifact], candidate: Artifact
) -> tuple[list[int], list[int]]:
    """Returns the IDs of the selected models and blessings."""
    result = NewestOtherBlessedModel().resolve_artifacts(
        MetadataStore(_in_memory()),
        {"model": list(models), "blessing": list(blessings), "candidate": [candidate]},
    )
    assert result["candidate"] == [candidate]
    return [model.id for model in result["model"]], [item.id for item in result["blessing"]]


def _in_memory() -> metadata_store_pb2.ConnectionConfig:
    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    return config


@pytest.fixture
def models(tmp_path: Path) -> list[Artifact]:
    """Models with the IDs 1, 2 and 3."""
    return [make_model(tmp_path, model_id) for model_id in (1, 2, 3)]


def test_the_first_model_has_no_baseline(models: list[Artifact]) -> None:
    assert resolve(models[:1], [], models[0]) == ([], [])


def test_the_most_recently_blessed_model_is_the_baseline(models: list[Artifact]) -> None:
    blessings = [make_blessing(11, 1, 1), make_blessing(12, 2, 1)]
    assert resolve(models, blessings, models[2]) == ([2], [12])
    assert resolve(models, blessings[::-1], models[2]) == ([2], [12])


def test_an_older_model_can_be_the_most_recently_blessed(models: list[Artifact]) -> None:
    blessings = [make_blessing(11, 2, 1), make_blessing(12, 1, 1)]
    assert resolve(models, blessings, models[2]) == ([1], [12])


def test_the_candidate_is_never_its_own_baseline(models: list[Artifact]) -> None:
    blessings = [make_blessing(11, 1, 1), make_blessing(12, 2, 1), make_blessing(13, 3, 1)]
    assert resolve(models, blessings, models[2]) == ([2], [12])
    assert resolve(models[2:], blessings[2:], models[2]) == ([], [])


@pytest.mark.parametrize("blessed", [0, None])
def test_a_model_that_is_not_blessed_is_skipped(
    models: list[Artifact], blessed: int | None
) -> None:
    blessings = [make_blessing(11, 1, 1), make_blessing(12, 2, blessed)]
    assert resolve(models, blessings, models[2]) == ([1], [11])


def test_a_model_with_missing_files_is_skipped(models: list[Artifact]) -> None:
    blessings = [make_blessing(11, 1, 1), make_blessing(12, 2, 1)]
    shutil.rmtree(models[1].uri)
    assert resolve(models, blessings, models[2]) == ([1], [11])
    shutil.rmtree(models[0].uri)
    assert resolve(models, blessings, models[2]) == ([], [])


def test_a_blessing_of_an_unknown_model_is_skipped(models: list[Artifact]) -> None:
    assert resolve(models, [make_blessing(11, 99, 1)], models[2]) == ([], [])


class ReleasePipeline:
    """Imports examples and a model, then runs the real components from Baseline to Pusher."""

    def __init__(self, toy: Any) -> None:
        self.root = toy.directory
        self.examples = toy.examples(toy.cases(right=97, wrong=3, baseline_wrong=1)).uri

    def run(self, model: str, accuracy: str = "0.9") -> dict[str, str]:
        """Runs the pipeline and returns the state of each component in ML Metadata."""
        LocalDagRunner().run(self._pipeline(model, accuracy))
        return self.states()

    def states(self) -> dict[str, str]:
        store = self._store()
        last = max(store.get_contexts_by_type("pipeline_run"), key=lambda context: context.id)
        return {
            store.get_execution_types_by_id([execution.type_id])[0].name.rpartition(".")[
                2
            ]: metadata_store_pb2.Execution.State.Name(execution.last_known_state)
            for execution in store.get_executions_by_context(last.id)
        }

    def verdict(self) -> dict[str, Any]:
        """Returns the gate's newest verdict."""
        files = (self.root / "root" / "ModelGate" / "blessing").glob(f"*/{VERDICT_FILE}")
        newest = max(files, key=lambda path: int(path.parent.name))
        verdict: dict[str, Any] = json.loads(newest.read_text())
        return verdict

    def versions(self) -> int:
        return len(list((self.root / "serving" / "models").glob("[0-9]*")))

    def _store(self) -> MetadataStore:
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = str(self.root / "metadata.sqlite")
        return MetadataStore(config)

    def _pipeline(self, model_uri: str, accuracy: str) -> Pipeline:
        example_gen = Importer(
            source_uri=self.examples,
            artifact_type=standard_artifacts.Examples,
            properties={"split_names": '["test"]'},
            custom_properties={
                "payload_format": "FORMAT_TF_EXAMPLE",
                "file_format": "tfrecords_gzip",
            },
        ).with_id("ExampleGen")
        trainer = Importer(source_uri=model_uri, artifact_type=standard_artifacts.Model).with_id(
            "Trainer"
        )
        # The model has no history.
        history = Importer(source_uri=model_uri, artifact_type=standard_artifacts.ModelRun).with_id(
            "History"
        )
        examples, model = example_gen.outputs["result"], trainer.outputs["result"]
        baseline = Resolver(
            strategy_class=NewestOtherBlessedModel,
            model=Channel(type=standard_artifacts.Model),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
            candidate=model,
        ).with_id("Baseline")
        evaluator = Evaluator(
            examples=examples,
            model=model,
            baseline_model=baseline.outputs["model"],
            eval_config=make_eval_config(),
            example_splits=["test"],
        )
        model_gate = ModelGate(
            evaluation=evaluator.outputs["evaluation"],
            model=model,
            baseline_model=baseline.outputs["model"],
            thresholds=json.dumps(
                {
                    "accuracy_threshold": accuracy,
                    "class_recall_threshold": "0.5",
                    "max_loss": "0.6",
                    "min_test_examples": 100,
                    "baseline_tolerance": "0.03",
                }
            ),
        )
        pusher = Pusher(
            model=model,
            model_run=history.outputs["result"],
            blessing=model_gate.outputs["blessing"],
            examples=examples,
            serving_dir=str(self.root / "serving"),
            model_name="models",
        )
        return Pipeline(
            pipeline_name="release",
            pipeline_root=str(self.root / "root"),
            components=[example_gen, trainer, history, baseline, evaluator, model_gate, pusher],
            enable_cache=True,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(self.root / "metadata.sqlite")
            ),
            beam_pipeline_args=list(BEAM_ARGS),
        )


def test_a_model_is_compared_with_the_previous_one_and_reruns_are_cached(toy: Any) -> None:
    first, second = toy.model("first", is_baseline=True).uri, toy.model("second").uri
    release = ReleasePipeline(toy)

    states = release.run(first)
    assert set(states.values()) == {"COMPLETE"}
    assert release.verdict()["metrics"]["baseline_accuracy"] is None
    assert release.run(first)["Evaluator"] == "CACHED"

    assert release.run(second)["Evaluator"] == "COMPLETE"
    metrics = release.verdict()["metrics"]
    assert (metrics["accuracy"], metrics["baseline_accuracy"]) == (0.97, 0.99)
    states = release.run(second)
    assert (states["Evaluator"], states["ModelGate"]) == ("CACHED", "CACHED")
    assert release.versions() == 2

    with pytest.raises(
        ModelRejectedError, match=r"accuracy 97% is below the 99% gate \(97 of 100\)"
    ):
        release.run(second, accuracy="0.99")
    states = release.states()
    assert (states["Evaluator"], states["ModelGate"]) == ("CACHED", "COMPLETE")
    assert states["Pusher"] == "FAILED"
    assert release.versions() == 2
