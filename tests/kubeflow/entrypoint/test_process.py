"""Runs the whole entrypoint in this process, with staging directories below `tmp_path`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.model_gate.thresholds import Thresholds
from mnist_kubeflow.entrypoint import __main__ as entrypoint
from mnist_kubeflow.entrypoint import contract

Run = Callable[..., dict[str, Any]]

REPORTER = "support.entrypoint_executors.Reporter"
THRESHOLDS = Thresholds().model_dump_json()

INPUTS_SPEC = {
    "artifacts": {
        name: {"artifactType": {"instanceSchema": f"title: tfx.{title}\ntype: object\n"}}
        for name, title in (("examples", "Examples"), ("model", "Model"), ("baseline", "Model"))
    },
    "parameters": {"epochs": {"parameterType": "NUMBER_INTEGER"}},
}


def received(uri: str, path: Path, name: str, **metadata: Any) -> dict[str, Any]:
    artifact = {"uri": uri, "customPath": str(path), "name": name, "metadata": metadata}
    return {"artifacts": [artifact | {"type": {"instanceSchema": ""}}]}


def executor_input(directory: Path, outputs: dict[str, str]) -> dict[str, Any]:
    """Builds the launcher's executor input; `outputs` maps names to TFX types."""
    root = "s3://bucket/artifacts"
    return {
        "inputs": {
            "parameterValues": {"epochs": 3.0, "rate": 0.5, "text": "1"},
            "artifacts": {
                "examples": received(f"{root}/examples", directory / "examples", "17", span=4.0),
                "model": received(f"{root}/model", directory / "model", "model"),
                "baseline": received(f"{root}/none", directory / "none", "19", absent=1.0),
            },
        },
        "outputs": {
            "artifacts": {
                name: {
                    "artifacts": [
                        {
                            "uri": f"{root}/task/{name}",
                            "customPath": str(directory / "task" / name),
                            "name": name,
                            "type": {"instanceSchema": f"title: tfx.{title}\ntype: object\n"},
                        }
                    ]
                }
                for name, title in outputs.items()
            },
            "parameters": {
                name: {"outputFile": str(directory / name)} for name in outputs if name == "count"
            },
            "outputFile": str(directory / "task" / "output_metadata.json"),
        },
    }


def call(
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    invocation: dict[str, Any],
    inputs_spec: dict[str, Any],
    *beam_args: str,
) -> None:
    """Runs the entrypoint with the arguments that TFX compiles."""
    arguments = {
        "--executor_class_path": executor,
        "--json_serialized_invocation_args": json.dumps(invocation),
        "--json_serialized_inputs_spec_args": json.dumps(inputs_spec),
    }
    argv = [part for pair in arguments.items() for part in pair]
    monkeypatch.setattr(sys, "argv", ["entrypoint", *argv, *beam_args])
    entrypoint.main()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs an executor of `support` and returns the executor output."""

    def run(executor: str, *beam_args: str, output: str = "evaluation:ModelEvaluation") -> Any:
        name, title = output.split(":")
        invocation = executor_input(tmp_path, {name: title})
        call(
            monkeypatch,
            f"support.entrypoint_executors.{executor}",
            invocation,
            INPUTS_SPEC,
            *beam_args,
        )
        return json.loads(Path(invocation["outputs"]["outputFile"]).read_text())

    return run


def report(directory: Path) -> Any:
    return json.loads((directory / "task" / "evaluation" / "report.json").read_text())


def test_executor_gets_typed_inputs_with_local_paths_and_ids(run: Run, tmp_path: Path) -> None:
    run("Reporter")
    inputs = report(tmp_path)["inputs"]
    assert inputs["examples"] == [["Examples", 17, str(tmp_path / "examples")]]
    assert inputs["model"][0][::2] == ["Model", str(tmp_path / "model")]
    assert inputs["baseline"] == []
    assert report(tmp_path)["span"] == [4]


def test_integer_parameters_are_converted_from_double(run: Run, tmp_path: Path) -> None:
    run("Reporter")
    parameters = report(tmp_path)["parameters"]
    assert parameters == {"epochs": 3, "rate": 0.5, "text": "1"}
    assert isinstance(parameters["epochs"], int)


def test_temporary_directory_is_below_the_task_root(run: Run, tmp_path: Path) -> None:
    run("Reporter")
    assert Path(report(tmp_path)["tmp"]) == tmp_path / "task" / ".temp" / "task"


def test_output_has_uris_and_metadata_for_the_launcher(run: Run) -> None:
    (evaluation,) = run("Reporter")["artifacts"]["evaluation"]["artifacts"]
    assert evaluation["uri"] == "s3://bucket/artifacts/task/evaluation"
    assert evaluation["metadata"].pop("tfx_version")
    assert evaluation["metadata"] == {"count": 3.0, "where": evaluation["uri"]}


def test_beam_arguments_reach_beam_executors(run: Run, tmp_path: Path) -> None:
    run("BeamReporter", "--runner=DirectRunner", "--sdk_container_image=unused")
    assert report(tmp_path)[:2] == ["--runner=DirectRunner", "--sdk_container_image=unused"]


def test_other_executors_get_beam_arguments_as_extra_flags(run: Run, tmp_path: Path) -> None:
    run("Reporter", "--runner=DirectRunner")
    assert report(tmp_path)["extra_flags"] == ["--runner=DirectRunner"]


def test_value_artifact_is_written_to_a_file_and_a_parameter(run: Run, tmp_path: Path) -> None:
    output = run("ValueWriter", output="count:Integer")
    assert output["parameterValues"] == {"count": 41}
    assert (tmp_path / "task" / "count").read_text() == "41"


def test_tensorflow_gets_its_environment_before_the_executor_runs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "restored after the test")
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH")
    run("Reporter")
    assert report(tmp_path)["gpu_growth"] == "true"


def test_failed_retry_removes_the_output_of_an_earlier_attempt(run: Run, tmp_path: Path) -> None:
    run("Reporter")
    assert (tmp_path / "task" / "output_metadata.json").exists()
    with pytest.raises(ValueError, match="broken"):
        run("Failure")
    assert not (tmp_path / "task" / "output_metadata.json").exists()


def test_failure_is_reported_in_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "termination-log"
    log.write_text("an earlier message that is longer than the new one")
    monkeypatch.setattr(entrypoint, "TERMINATION_LOG", log)
    with pytest.raises(ValueError, match="broken"):
        run("Failure")
    assert log.read_text() == "ValueError: it is broken"


def test_termination_message_is_truncated_to_valid_utf_8() -> None:
    message = entrypoint.explain(ValueError("x" + "é" * 2000))
    assert 2000 < len(message) <= 2048
    assert message.decode().startswith("ValueError: xéé")


def test_missing_termination_log_is_not_created(tmp_path: Path) -> None:
    entrypoint.report_failure(ValueError("broken"), tmp_path / "termination-log")
    assert not list(tmp_path.iterdir())


class VertexAI:
    """Runs tasks like Vertex AI: artifacts have gs:// URIs, which are mounted as files."""

    NAMES = "projects/1/locations/europe-west4/metadataStores/default/artifacts"

    def __init__(self, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bucket = bucket
        self._monkeypatch = monkeypatch
        monkeypatch.setitem(contract._STAGING, "gs://", f"{bucket.parent}/")

    def artifact(self, key: str, title: str, **metadata: Any) -> dict[str, Any]:
        """Returns an artifact with a directory in the bucket."""
        (self.bucket / key).mkdir(parents=True, exist_ok=True)
        return {
            "name": f"{self.NAMES}/{key}",
            "uri": f"gs://{self.bucket.name}/{key}",
            "type": {"instanceSchema": f"title: tfx.{title}\ntype: object\n"},
            "metadata": metadata,
        }

    def run(
        self,
        executor: str,
        inputs: dict[str, dict[str, Any]],
        outputs: dict[str, dict[str, Any]],
        **parameters: str,
    ) -> None:
        """Runs a task and updates `outputs` with its executor output."""
        key = f"{executor}_-45/executor_output.json"
        invocation = {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {name: {"artifacts": [given]} for name, given in inputs.items()},
            },
            "outputs": {
                "artifacts": {name: {"artifacts": [output]} for name, output in outputs.items()},
                "outputFile": f"gs://{self.bucket.name}/{key}",
            },
        }
        spec = {"artifacts": {name: {"artifactType": a["type"]} for name, a in inputs.items()}}
        call(self._monkeypatch, executor, invocation, spec)
        for name, listed in json.loads((self.bucket / key).read_text())["artifacts"].items():
            outputs[name].update(listed["artifacts"][0])


@pytest.fixture
def vertex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VertexAI:
    return VertexAI(tmp_path / "gcs" / "bucket", monkeypatch)


def run_gate(vertex: VertexAI, model: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """Runs ModelGate on an empty evaluation and returns the blessing's metadata."""
    blessing = vertex.artifact("blessing", "ModelBlessing")
    vertex.run(
        "components.model_gate.executor.Executor",
        {
            "model": model,
            "baseline_model": baseline,
            "evaluation": vertex.artifact("evaluation", "ModelEvaluation"),
            "examples": vertex.artifact("examples", "Examples"),
        },
        {"blessing": blessing},
        thresholds=THRESHOLDS,
    )
    assert (vertex.bucket / "blessing" / "NOT_BLESSED").exists()
    metadata: dict[str, Any] = blessing["metadata"]
    return metadata


def test_vertex_ai_has_no_baseline_before_the_first_push(vertex: VertexAI) -> None:
    model = vertex.artifact("model", "Model")
    (vertex.bucket / "model" / "Format-Serving").mkdir()
    baseline = vertex.artifact("baseline", "Model")
    vertex.run(
        "components.baseline.executor.Executor",
        {"candidate": model, "examples": vertex.artifact("examples", "Examples")},
        {"model": baseline},
        serving_dir=str(vertex.bucket / "serving"),
        model_name="mnist",
    )
    assert baseline["uri"] == "gs://bucket/baseline"
    assert baseline["metadata"]["absent"] == 1
    assert (vertex.bucket / "baseline" / "absent").is_file()
    metadata = run_gate(vertex, model, baseline)
    assert metadata["current_model"] == "gs://bucket/model"
    assert not [name for name in metadata if name.startswith("baseline")]


def test_blessing_identifies_models_by_their_vertex_ai_names(vertex: VertexAI) -> None:
    model = vertex.artifact("model", "Model")
    (vertex.bucket / "model" / "Format-Serving").mkdir()
    metadata = run_gate(vertex, model, vertex.artifact("baseline", "Model"))
    assert metadata["baseline_model"] == "gs://bucket/baseline"
    assert metadata["current_model_id"] == f"{vertex.NAMES}/model"
    assert metadata["baseline_model_id"] == f"{vertex.NAMES}/baseline"


def test_vertex_ai_tasks_have_local_paths_and_a_temporary_directory(vertex: VertexAI) -> None:
    evaluation = vertex.artifact("evaluation", "ModelEvaluation")
    model = vertex.artifact("model", "Model")
    vertex.run(REPORTER, {"model": model}, {"evaluation": evaluation})
    report = json.loads((vertex.bucket / "evaluation" / "report.json").read_text())
    ((type_name, id_, uri),) = report["inputs"]["model"]
    assert (type_name, uri) == ("Model", str(vertex.bucket / "model"))
    assert id_ > 2**31, "TFX hashes a name that isn't a number"
    assert Path(report["tmp"]).parent.parent == vertex.bucket / f"{REPORTER}_-45"
    assert evaluation["metadata"]["where"] == "gs://bucket/evaluation"
