"""Runs the compiled pipeline with the real task commands on an emulated KFP v2 backend."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import yaml
from support.kfp_backend import LOGS, KfpBackend, Run
from support.kfp_object_store import MemoryStore, ObjectStore, S3Store
from support.pipeline_runs import LOOSE_GATES
from support.tfds_directory import (
    any_images,
    synthetic_examples,
    synthetic_schema,
    write_tfds_dataset,
)

from mnist_kubeflow.compiler.compile import compile_pipeline
from mnist_kubeflow.compiler.settings import KubeflowSettings
from models.definition import DATASET
from models.features import NUM_CLASSES
from pipeline.settings import SCHEMA_FILE, make_settings
from pipeline.stages import (
    BASELINE,
    EVALUATOR,
    EXAMPLE_GEN,
    MODEL_GATE,
    PUSHER,
    REPORT,
    STAGES,
    TRAINER,
    TRANSFORM,
)

TFX_ENTRYPOINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"
TASKS = set(STAGES)
# Stages that come from the cache if only the epochs or a threshold change.
BEFORE_TRAINER = set(STAGES[: STAGES.index(TRAINER)])
# Outputs without files.
EMPTY_OUTPUTS = {
    (TRANSFORM, "updated_analyzer_cache"),
    (EVALUATOR, "blessing"),
    (PUSHER, "pushed_model"),
}
TRAIN, TEST = 60 * NUM_CLASSES, 20 * NUM_CLASSES


@dataclass(frozen=True)
class Cluster:
    """A KFP installation with a pipeline for a small synthetic data set."""

    backend: KfpBackend
    serving: Path
    package: str

    def run(self, package: str | None = None, **parameters: Any) -> Run:
        run = self.backend.run(package or self.package, parameters)
        if not run.succeeded:
            print(list(run.logs.values())[-1])  # noqa: T201 - pytest shows it if the test fails
        return run

    def versions(self) -> list[str]:
        """Returns the versions in the serving directory."""
        return sorted(path.name for path in self.serving.glob(f"{DATASET.name}/[0-9]*"))

    def release(self, version: str) -> dict[str, Any]:
        return json.loads((self.serving / DATASET.name / version / "release.json").read_text())

    def read(self, run: Run, task: str, output: str, name: str) -> Any:
        """Reads a JSON file of an artifact from the object store."""
        key = self.backend.key(f"{run.outputs[task][output]['uri']}/{name}")
        return json.loads(self.backend.store.read(key))


def write_data(directory: Path) -> None:
    """Writes synthetic data with 10% wrong test labels, so that no model is perfect."""
    images, labels = synthetic_examples(TEST // NUM_CLASSES, seed=1)
    wrong = np.arange(TEST) < TEST // 10
    labels = np.where(wrong, (labels + 1) % NUM_CLASSES, labels)
    write_tfds_dataset(directory, synthetic_examples(TRAIN // NUM_CLASSES), (images, labels))
    (directory / SCHEMA_FILE.name).write_text(synthetic_schema(any_images()))


def make_cluster(
    scheme: str, directory: Path, store: ObjectStore | None = None, bucket: str = ""
) -> Cluster:
    """Creates a cluster without any runs; a directory replaces its serving volume."""
    bucket = bucket or f"mnist-{uuid4().hex}"
    serving = directory / "serving"
    write_data(directory / "data")
    settings = {
        "data": "tfds",
        "data_dir": directory / "data",
        "epochs": 3,
        "batch_size": 16,
        **LOOSE_GATES,
    }
    package = compile_pipeline(
        make_settings(settings, {"schema_file": directory / "data" / SCHEMA_FILE.name}),
        KubeflowSettings(image="registry.example/mnist:1.0.0", mount_path=str(serving)),
    )
    backend = KfpBackend(f"{scheme}://{bucket}/artifacts", store or MemoryStore({}), directory)
    return Cluster(backend, serving, package)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A cluster whose runs build on each other."""
    return make_cluster("minio", tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def first_run(cluster: Cluster) -> Run:
    return cluster.run()


@pytest.fixture
def first_version(cluster: Cluster, first_run: Run) -> str:
    return first_run.outputs[PUSHER]["pushed_model"]["metadata"]["pushed_version"]


def check_release(cluster: Cluster, run: Run) -> None:
    """Checks that all tasks ran and that their model is the only version."""
    assert run.states == dict.fromkeys(run.states, "COMPLETE")
    assert set(run.states) == TASKS
    pushed = run.outputs[PUSHER]["pushed_model"]["metadata"]
    assert cluster.versions() == [pushed["pushed_version"]]
    manifest = cluster.release(pushed["pushed_version"])
    examples = run.outputs[EXAMPLE_GEN]["examples"]["metadata"]
    assert manifest["data"]["fingerprint"] == examples["fingerprint"]
    counts = manifest["data"]["counts"]
    assert (counts["train"] + counts["validation"], counts["test"]) == (TRAIN, TEST)


def test_first_run_pushes_a_model(cluster: Cluster, first_run: Run) -> None:
    check_release(cluster, first_run)


def test_first_model_has_no_baseline(cluster: Cluster, first_run: Run) -> None:
    assert first_run.outputs[BASELINE]["model"]["metadata"]["absent"] == 1
    verdict = cluster.read(first_run, MODEL_GATE, "blessing", "verdict.json")
    assert verdict["metrics"]["baseline_accuracy"] is None


def test_all_recorded_artifacts_are_in_the_object_store(cluster: Cluster, first_run: Run) -> None:
    empty = {
        (task, name)
        for task, outputs in first_run.outputs.items()
        for name, artifact in outputs.items()
        if not cluster.backend.store.keys(cluster.backend.key(artifact["uri"]))
    }
    assert empty <= EMPTY_OUTPUTS


def test_ui_can_show_the_report(cluster: Cluster, first_run: Run) -> None:
    """Follows getVertifiedHtmlArtifacts and getHtmlViewerConfig in MetricsVisualizations.tsx."""
    store = cluster.backend.metadata.store
    types = {type_.id: type_.name for type_ in store.get_artifact_types()}
    (artifact,) = store.get_artifacts_by_id([int(first_run.outputs[REPORT]["report"]["name"])])
    assert types[artifact.type_id] == "system.HTML"
    assert artifact.custom_properties["display_name"].string_value
    page = cluster.backend.store.read(cluster.backend.key(artifact.uri)).decode()
    assert page.startswith("<!DOCTYPE html>")
    assert "This section failed" not in page
    assert f"Model {first_run.outputs['Trainer']['model']['name']}" in page
    assert "<span>epochs</span><span>3</span>" in page


def test_local_paths_of_containers_are_not_recorded(first_run: Run) -> None:
    recorded = json.dumps(first_run.outputs)
    assert "minio://" in recorded
    assert not re.findall(r'"[^"]*/minio/[^"]*"', recorded)


def test_blessing_has_the_model_id_and_uri_of_ml_metadata(first_run: Run) -> None:
    model = first_run.outputs[TRAINER]["model"]
    blessing = first_run.outputs[MODEL_GATE]["blessing"]["metadata"]
    assert blessing["current_model"] == model["uri"]
    assert blessing["current_model_id"] == int(model["name"])


def test_manifest_has_the_artifact_ids_and_uris_of_ml_metadata(
    cluster: Cluster, first_run: Run, first_version: str
) -> None:
    manifest = cluster.release(first_version)["ml_metadata"]
    outputs = {
        "model": first_run.outputs[TRAINER]["model"],
        "model_run": first_run.outputs[TRAINER]["model_run"],
        "blessing": first_run.outputs[MODEL_GATE]["blessing"],
        "examples": first_run.outputs[EXAMPLE_GEN]["examples"],
    }
    assert {role: (artifact["id"], artifact["uri"]) for role, artifact in manifest.items()} == {
        role: (int(artifact["name"]), artifact["uri"]) for role, artifact in outputs.items()
    }


def test_manifest_has_the_hyperparameters_of_the_run(cluster: Cluster, first_version: str) -> None:
    training = cluster.release(first_version)["training"]
    assert training["epochs"] == training["hyperparameters"]["epochs"] == 3


@pytest.mark.parametrize(
    "scheme",
    ["minio", *(pytest.param(scheme, marks=pytest.mark.slow) for scheme in ("s3", "gs"))],
)
def test_entrypoint_of_tfx_fails_at_the_first_task(scheme: str, tmp_path: Path) -> None:
    cluster = make_cluster(scheme, tmp_path)
    documents = list(yaml.safe_load_all(cluster.package))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        executor["container"]["command"] = ["python", "-m", TFX_ENTRYPOINT]
    run = cluster.backend.run(yaml.safe_dump_all(documents))
    (failed,) = run.states
    assert run.states == {failed: "FAILED"}
    ending = r"in _parse_raw_artifact\n( .*\n)+ImportError: Could not import system\.Artifact$"
    assert re.search(ending, run.logs[failed], re.MULTILINE)


@pytest.mark.slow
def test_second_model_is_compared_with_the_pushed_model(
    cluster: Cluster, first_run: Run, first_version: str
) -> None:
    run = cluster.run(epochs=2)
    assert {task for task, state in run.states.items() if state == "CACHED"} == BEFORE_TRAINER
    assert set(run.states) == TASKS
    assert run.succeeded
    assert len(cluster.read(run, TRAINER, "model_run", "history.json")["epochs"]) == 2
    assert run.outputs[BASELINE]["model"]["metadata"]["version"] == first_version
    newest = run.outputs[PUSHER]["pushed_model"]["metadata"]["pushed_version"]
    assert cluster.versions() == [first_version, newest]
    first_accuracy = cluster.release(first_version)["metrics"]["accuracy"]
    assert cluster.release(newest)["metrics"]["baseline_accuracy"] == first_accuracy


@pytest.mark.slow
def test_model_below_the_threshold_fails_the_run_at_the_pusher(
    cluster: Cluster, first_run: Run
) -> None:
    versions = cluster.versions()
    run = cluster.backend.run(cluster.package, {"accuracy_threshold": 1.0})
    assert [task for task, state in run.states.items() if state == "FAILED"] == [PUSHER]
    assert run.states[MODEL_GATE] == "COMPLETE"
    assert set(run.outputs[PUSHER]) == {LOGS}
    assert "ModelRejectedError: accuracy" in run.logs[PUSHER]
    assert cluster.versions() == versions


@pytest.mark.slow
def test_every_task_runs_with_google_cloud_storage_uris(tmp_path: Path) -> None:
    cluster = make_cluster("gs", tmp_path)
    check_release(cluster, cluster.run())


@pytest.fixture
def s3_store() -> Iterator[S3Store]:
    """A bucket on a local S3 server."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    store = S3Store(client, f"mnist-{uuid4().hex}")
    client.create_bucket(Bucket=store.bucket)
    yield store
    server.stop()


@pytest.mark.slow
def test_every_task_runs_with_an_s3_server(s3_store: S3Store, tmp_path: Path) -> None:
    cluster = make_cluster("s3", tmp_path, s3_store, s3_store.bucket)
    check_release(cluster, cluster.run())
