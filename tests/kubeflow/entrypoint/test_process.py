"""The whole entrypoint in this process, with artifacts that have paths of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_kubeflow.entrypoint import __main__ as entrypoint

Run = Callable[..., dict[str, Any]]

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
    """What the launcher hands over, with outputs by name and type."""
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


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one of the executors of these tests, and returns the executor output."""

    def run(executor: str, *beam_args: str, output: str = "evaluation:ModelEvaluation") -> Any:
        name, title = output.split(":")
        invocation = executor_input(tmp_path, {name: title})
        monkeypatch.setattr(
            sys,
            "argv",
            [
                "entrypoint",
                "--executor_class_path",
                f"entrypoint_executors.{executor}",
                "--json_serialized_invocation_args",
                json.dumps(invocation),
                "--json_serialized_inputs_spec_args",
                json.dumps(INPUTS_SPEC),
                *beam_args,
            ],
        )
        entrypoint.main()
        return json.loads(Path(invocation["outputs"]["outputFile"]).read_text())

    return run


def report(directory: Path) -> Any:
    return json.loads((directory / "task" / "evaluation" / "report.json").read_text())


def test_the_executor_gets_local_typed_inputs_with_their_ids(run: Run, tmp_path: Path) -> None:
    run("Reporter")
    inputs = report(tmp_path)["inputs"]
    assert inputs["examples"] == [["Examples", 17, str(tmp_path / "examples")]]
    assert inputs["model"][0][::2] == ["Model", str(tmp_path / "model")]
    assert inputs["baseline"] == []
    assert report(tmp_path)["span"] == [4]


def test_integers_are_integers_and_other_parameters_stay(run: Run, tmp_path: Path) -> None:
    run("Reporter")
    parameters = report(tmp_path)["parameters"]
    assert parameters == {"epochs": 3, "rate": 0.5, "text": "1"}
    assert isinstance(parameters["epochs"], int)


def test_temporary_files_are_in_the_task_s_own_directory(run: Run, tmp_path: Path) -> None:
    run("Reporter")
    assert Path(report(tmp_path)["tmp"]) == tmp_path / "task" / ".temp" / "task"


def test_the_output_has_uris_and_metadata_that_the_launcher_can_take(run: Run) -> None:
    (evaluation,) = run("Reporter")["artifacts"]["evaluation"]["artifacts"]
    assert evaluation["uri"] == "s3://bucket/artifacts/task/evaluation"
    assert evaluation["metadata"].pop("tfx_version")
    assert evaluation["metadata"] == {"count": 3.0, "where": evaluation["uri"]}


def test_beam_arguments_reach_beam_executors(run: Run, tmp_path: Path) -> None:
    run("BeamReporter", "--runner=DirectRunner", "--sdk_container_image=unused")
    assert report(tmp_path)[:2] == ["--runner=DirectRunner", "--sdk_container_image=unused"]


def test_other_executors_get_them_as_extra_flags(run: Run, tmp_path: Path) -> None:
    run("Reporter", "--runner=DirectRunner")
    assert report(tmp_path)["extra_flags"] == ["--runner=DirectRunner"]


def test_a_value_artifact_is_a_file_and_its_value_a_parameter(run: Run, tmp_path: Path) -> None:
    output = run("ValueWriter", output="count:Integer")
    assert output["parameterValues"] == {"count": 41}
    assert (tmp_path / "task" / "count").read_text() == "41"


def test_what_an_earlier_attempt_left_is_not_the_result_of_a_failed_one(
    run: Run, tmp_path: Path
) -> None:
    run("Reporter")
    assert (tmp_path / "task" / "output_metadata.json").exists()
    with pytest.raises(ValueError, match="broken"):
        run("Failure")
    assert not (tmp_path / "task" / "output_metadata.json").exists()


def test_a_failure_is_reported_in_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "termination-log"
    log.write_text("what was there before, which was much longer than the message that follows")
    monkeypatch.setattr(entrypoint, "TERMINATION_LOG", log)
    with pytest.raises(ValueError, match="broken"):
        run("Failure")
    assert log.read_text() == "ValueError: it is broken"


def test_a_termination_message_fits_and_stays_utf_8() -> None:
    message = entrypoint.explain(ValueError("x" + "é" * 2000))
    assert 2000 < len(message) <= 2048
    assert message.decode().startswith("ValueError: xéé")


def test_no_termination_log_is_made_where_kubernetes_made_none(tmp_path: Path) -> None:
    entrypoint.report_failure(ValueError("broken"), tmp_path / "termination-log")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", [entrypoint.TFX_ENTRYPOINT, "mnist_kubeflow.entrypoint"])
def test_on_vertex_ai_it_does_what_tfx_own_does(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TFX's own entrypoint as the measure, and a hash of the name for an artifact's id."""
    import runpy

    model = tmp_path / "model"
    invocation = {
        "inputs": {
            "artifacts": {
                "model": {
                    "artifacts": [
                        {
                            "uri": str(model),
                            "name": "projects/1/artifacts/2",
                            "type": {"schemaTitle": "tfx.Model"},
                        }
                    ]
                }
            }
        },
        "outputs": {
            "artifacts": {
                "evaluation": {
                    "artifacts": [
                        {
                            "uri": str(tmp_path / "evaluation"),
                            "type": {"schemaTitle": "tfx.ModelEvaluation"},
                        }
                    ]
                }
            },
            "outputFile": str(tmp_path / "job" / "executor_output.json"),
        },
    }
    (tmp_path / "evaluation").mkdir()
    arguments = {
        "--executor_class_path": "entrypoint_executors.Reporter",
        "--json_serialized_invocation_args": json.dumps(invocation),
        "--json_serialized_inputs_spec_args": "{}",
    }
    argv = [part for pair in arguments.items() for part in pair]
    monkeypatch.setattr(sys, "argv", ["entrypoint", *argv])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not ended.value.code
    output = json.loads((tmp_path / "job" / "executor_output.json").read_text())
    (evaluation,) = output["artifacts"]["evaluation"]["artifacts"]
    assert evaluation["uri"] == str(tmp_path / "evaluation")
    assert evaluation["metadata"].pop("tfx_version")
    # TFX 1.16 hands on a property without a value as null, TFX 1.21 leaves it out.
    assert evaluation["metadata"].pop("nothing", None) is None
    assert evaluation["metadata"] == {"count": 3.0, "where": str(tmp_path / "evaluation")}
    ((_, id_, uri),) = json.loads((tmp_path / "evaluation" / "report.json").read_text())["inputs"][
        "model"
    ]
    assert uri == str(model)
    assert id_ > 2**31
