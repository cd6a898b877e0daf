"""Tests the emulated KFP backend, with short commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from support.kfp_backend import LOGS, KfpBackend, Run
from support.kfp_driver import BackendError, as_text, task_order
from support.kfp_metadata import to_mlmd_value
from support.kfp_object_store import MemoryStore

# Writes a file, an empty directory and the output file; prints its arguments.
WRITE = """
import json, pathlib, sys
received = json.loads(sys.argv[1])
(out,) = received["outputs"]["artifacts"]["out"]["artifacts"]
path = pathlib.Path(sys.argv[2])
assert path.parent.is_dir() and not path.exists()
(path / "empty").mkdir(parents=True)
(path / "kept.txt").write_text("kept")
output = {"artifacts": {"out": {"artifacts": [{"metadata": {"n": 3, "l": [1], "d": {"a": 1}}}]}}}
pathlib.Path(received["outputs"]["outputFile"]).write_text(json.dumps(output))
print(sys.argv[3:])
"""
READ = """
import json, pathlib, sys
received = json.loads(sys.argv[1])
(artifact,) = received["inputs"]["artifacts"]["given"]["artifacts"]
path = pathlib.Path(sys.argv[2])
print(json.dumps([artifact, [str(p.relative_to(path)) for p in path.rglob("*")]]))
"""
TYPE = {"artifactType": {"instanceSchema": "title: tfx.Examples"}}


def task(script: str, *arguments: str, **fields: Any) -> dict[str, Any]:
    """Describes a task that runs a Python script, for `pipeline`."""
    return {"script": script, "arguments": list(arguments), **fields}


def pipeline(**tasks: dict[str, Any]) -> str:
    spec: dict[str, Any] = {
        "pipelineInfo": {"name": "p"},
        "components": {},
        "deploymentSpec": {"executors": {}},
        "root": {
            "dag": {"tasks": {}},
            "inputDefinitions": {"parameters": {"n": {"defaultValue": 0.95}}},
        },
    }
    for name, given in tasks.items():
        spec["components"][name] = {"executorLabel": name, **given.get("component", {})}
        spec["deploymentSpec"]["executors"][name] = given.get("executor") or {
            "container": {
                "image": "i:1",
                "command": ["python", "-c"],
                "args": [given["script"], *given["arguments"]],
            }
        }
        spec["root"]["dag"]["tasks"][name] = {
            "componentRef": {"name": name},
            **given.get("task", {}),
        }
    return yaml.safe_dump(spec)


WRITER = task(
    WRITE,
    "{{$}}",
    "{{$.outputs.artifacts['out'].path}}",
    "<{{$.inputs.parameters['n']}}>",
    component={
        "outputDefinitions": {"artifacts": {"out": TYPE}},
        "inputDefinitions": {"parameters": {"n": {"parameterType": "NUMBER_DOUBLE"}}},
    },
    task={
        "inputs": {"parameters": {"n": {"componentInputParameter": "n"}}},
        "cachingOptions": {"enableCache": True},
    },
)
READER = task(
    READ,
    "{{$}}",
    "{{$.inputs.artifacts['given'].path}}",
    component={"inputDefinitions": {"artifacts": {"given": TYPE}}},
    task={
        "inputs": {
            "artifacts": {
                "given": {"taskOutputArtifact": {"producerTask": "w", "outputArtifactKey": "out"}}
            }
        }
    },
)


@pytest.fixture
def backend(tmp_path: Path) -> KfpBackend:
    return KfpBackend(f"minio://b-{uuid4().hex}/root", MemoryStore({}), tmp_path)


def received_by_reader(run: Run) -> Any:
    return json.loads(run.logs["r"])


def test_files_are_passed_on_but_empty_directories_are_not(backend: KfpBackend) -> None:
    run = backend.run(pipeline(w=WRITER, r=READER))
    assert run.states == {"w": "COMPLETE", "r": "COMPLETE"}
    assert received_by_reader(run)[1] == ["kept.txt"]


def test_types_are_lost_and_metadata_is_wrapped(backend: KfpBackend) -> None:
    artifact = received_by_reader(backend.run(pipeline(w=WRITER, r=READER)))[0]
    assert artifact["type"] == {"instanceSchema": ""}
    assert artifact["metadata"] == {
        "n": 3.0,
        "l": {"list": [1.0]},
        "d": {"struct": {"a": 1.0}},
        "display_name": "out",
        "store_session_info": "null",
    }


def test_placeholders_are_replaced(backend: KfpBackend) -> None:
    assert "['<0.95>']" in backend.run(pipeline(w=WRITER)).logs["w"]
    assert "['<5>']" in backend.run(pipeline(w=WRITER), {"n": 5.0}).logs["w"]


def test_identical_execution_comes_from_the_cache(backend: KfpBackend) -> None:
    first = backend.run(pipeline(w=WRITER, r=READER))
    second = backend.run(pipeline(w=WRITER, r=READER))
    assert second.states == {"w": "CACHED", "r": "COMPLETE"}
    assert second.outputs["w"]["out"] == first.outputs["w"]["out"]
    assert backend.run(pipeline(w=WRITER), {"n": 1}).states == {"w": "COMPLETE"}


def test_failed_task_publishes_its_log_and_ends_the_run(backend: KfpBackend) -> None:
    failing = {**WRITER, "script": WRITE + "\nsys.exit('no')"}
    run = backend.run(pipeline(w=failing, r=READER))
    assert run.states == {"w": "FAILED"}
    assert set(run.outputs["w"]) == {LOGS}
    assert run.logs["w"].endswith("no\n")


def test_staging_directories_are_deleted(backend: KfpBackend) -> None:
    backend.run(pipeline(w=WRITER))
    bucket = backend.root.removeprefix("minio://").split("/")[0]
    assert not backend.place(f"/minio/{bucket}").exists()


def test_custom_paths_replace_staging_directories_below_the_root(
    backend: KfpBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_base", tmp_path / "staging")
    outputs = "{{$.outputs.artifacts['out'].path}}"
    run = backend.run(pipeline(w={**WRITER, "arguments": ["{{$}}", outputs]}, r=READER))
    assert run.succeeded
    assert received_by_reader(run)[0]["customPath"].startswith(str(tmp_path / "staging" / "minio"))


def test_resolver_is_rejected(backend: KfpBackend) -> None:
    with pytest.raises(BackendError, match="non-container and non-importer executor"):
        backend.run(pipeline(w=task("", executor={"resolver": {}})))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"n": "text"}, "expected NUMBER_DOUBLE, got 'text'"), ({"m": 1}, "unknown parameters")],
)
def test_invalid_parameters_are_rejected(
    backend: KfpBackend, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message):
        backend.run(pipeline(w=WRITER), parameters)


def test_parameter_without_a_value_is_rejected(backend: KfpBackend) -> None:
    with pytest.raises(BackendError, match="parameter n is not optional, yet has no value"):
        backend.run(pipeline(w=WRITER).replace("defaultValue: 0.95", "parameterType: STRING"))


def test_uri_outside_the_pipeline_root_is_an_error(backend: KfpBackend) -> None:
    moved = WRITE.replace('[{"metadata"', '[{"uri": "minio://other/x", "metadata"')
    with pytest.raises(BackendError, match="does not have expected bucket prefix"):
        backend.run(pipeline(w={**WRITER, "script": moved}))


def test_local_path_is_recorded_but_not_uploaded(backend: KfpBackend) -> None:
    moved = WRITE.replace('[{"metadata"', '[{"uri": "/data/x", "metadata"')
    run = backend.run(pipeline(w={**WRITER, "script": moved}))
    assert run.outputs["w"]["out"]["uri"] == "/data/x"
    assert not [key for key in backend.store.keys("") if "kept" in key]


def test_null_metadata_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown/unsupported value type"):
        to_mlmd_value(None)


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (5.0, "5"), (0.95, "0.95"), (1e-7, "0.0000001"), (True, "true"), ([1], "[1]")],
)
def test_values_are_formatted_like_in_go(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_dependency_on_a_missing_task_is_an_error() -> None:
    with pytest.raises(BackendError, match="dependencies that never run"):
        task_order({"a": {"dependentTasks": ["b"]}})
