"""Tests the conversion of executor inputs and outputs."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from tfx.utils import import_utils

from mnist_kubeflow.entrypoint.contract import (
    ContractError,
    adapt_input,
    adapt_output,
    local_path,
    output_file,
)

TASK_ROOT = "minio://bucket/root/mnist/run/Trainer/1234"
LOCAL_ROOT = "/minio/bucket/root/mnist/run/Trainer/1234"
EXAMPLES_URI = "minio://bucket/root/mnist/run/ImageExampleGen/99/examples"


def artifact(uri: str, **fields: Any) -> dict[str, Any]:
    return {"name": "7", "uri": uri, "type": {"instanceSchema": ""}, **fields}


def listed(*artifacts: dict[str, Any]) -> dict[str, Any]:
    return {"artifacts": list(artifacts)}


def make_input(**fields: Any) -> dict[str, Any]:
    """Builds the launcher's executor input for a task with an input and two outputs."""
    return {
        "inputs": {
            "parameterValues": {"epochs": 3.0},
            "artifacts": {"examples": listed(artifact(EXAMPLES_URI, **fields))},
        },
        "outputs": {
            "artifacts": {
                "model": listed(
                    artifact(f"{TASK_ROOT}/model", type={"instanceSchema": "title: M"})
                ),
                "model_run": listed(artifact(f"{TASK_ROOT}/model_run")),
            },
            "outputFile": f"{LOCAL_ROOT}/output_metadata.json",
        },
    }


SPEC = {"artifacts": {"examples": {"artifactType": {"instanceSchema": "title: tfx.Examples"}}}}


def adapted_example(**fields: Any) -> dict[str, Any]:
    adapted = adapt_input(make_input(**fields), SPEC)
    (example,) = adapted["inputs"]["artifacts"]["examples"]["artifacts"]
    return example


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (f"{LOCAL_ROOT}/output_metadata.json", f"{LOCAL_ROOT}/output_metadata.json"),
        ("/tmp/kfp_outputs/output_metadata.json", "/tmp/kfp_outputs/output_metadata.json"),
        (
            "gs://bucket/1/Trainer_-4/executor_output.json",
            "/gcs/bucket/1/Trainer_-4/executor_output.json",
        ),
        (
            "/gcs/bucket/1/Trainer_-4/executor_output.json",
            "/gcs/bucket/1/Trainer_-4/executor_output.json",
        ),
    ],
)
def test_output_file_is_a_local_path(given: str, path: str) -> None:
    assert output_file({"outputs": {"outputFile": given}}) == path


def test_inputs_get_their_types_from_the_inputs_spec() -> None:
    assert adapted_example()["type"] == {"instanceSchema": "title: tfx.Examples"}


def test_input_without_a_type_in_the_spec_keeps_its_own() -> None:
    adapted = adapt_input(make_input(type={"schemaTitle": "tfx.Model"}), {})
    (example,) = adapted["inputs"]["artifacts"]["examples"]["artifacts"]
    assert example["type"] == {"schemaTitle": "tfx.Model"}


def test_outputs_keep_their_types() -> None:
    adapted = adapt_input(make_input(), SPEC)
    (model,) = adapted["outputs"]["artifacts"]["model"]["artifacts"]
    assert model["type"] == {"instanceSchema": "title: M"}


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://bucket/key/a", "/minio/bucket/key/a"),
        ("s3://bucket/key/a", "/s3/bucket/key/a"),
        ("gs://bucket/key/a", "/gcs/bucket/key/a"),
    ],
)
def test_local_path_follows_the_launcher(uri: str, path: str) -> None:
    assert local_path({"uri": uri}) == path


def test_custom_path_overrides_the_uri() -> None:
    assert local_path({"uri": "s3://bucket/key", "customPath": "/data/here"}) == "/data/here"


def test_error_for_an_unsupported_scheme_lists_the_supported_ones() -> None:
    with pytest.raises(
        ContractError, match=r"one of gs://, minio://, s3://, received 'hdfs://a/b'"
    ):
        local_path({"uri": "hdfs://a/b"})


def test_uris_of_inputs_and_outputs_become_local_paths() -> None:
    adapted = adapt_input(make_input(), SPEC)
    uris = [
        adapted[side]["artifacts"][name]["artifacts"][0]["uri"]
        for side, name in (("inputs", "examples"), ("outputs", "model"))
    ]
    assert uris == [EXAMPLES_URI.replace("minio://", "/minio/"), f"{LOCAL_ROOT}/model"]


def test_executor_logs_are_removed_from_the_outputs() -> None:
    received = make_input()
    received["outputs"]["artifacts"]["executor-logs"] = listed(
        artifact(f"{TASK_ROOT}/executor-logs-0", type={"schemaTitle": "system.Artifact"})
    )
    assert set(adapt_input(received, SPEC)["outputs"]["artifacts"]) == {"model", "model_run"}


def test_wrapped_metadata_is_unwrapped_and_other_metadata_is_kept() -> None:
    metadata = {
        "blessed": {"struct": {"train": 1.0, "test": 0.0}},
        "splits": {"list": ["train"]},
        "span": 3.0,
        "two_keys": {"list": [], "struct": {}},
        "not_wrapped": {"list": "text"},
    }
    assert adapted_example(metadata=metadata)["metadata"] == {
        **metadata,
        "blessed": {"train": 1.0, "test": 0.0},
        "splits": ["train"],
        "origin_uri": EXAMPLES_URI,
    }


def test_artifact_that_is_marked_absent_is_removed() -> None:
    adapted = adapt_input(make_input(metadata={"absent": 1.0}), SPEC)
    assert adapted["inputs"]["artifacts"]["examples"] == {"artifacts": []}


def test_artifact_that_is_not_marked_absent_is_kept() -> None:
    adapted = adapt_input(make_input(metadata={"absent": 0.0}), SPEC)
    assert len(adapted["inputs"]["artifacts"]["examples"]["artifacts"]) == 1


def test_artifact_id_becomes_the_name() -> None:
    assert adapted_example(artifactId="0b1c")["name"] == "0b1c"


def test_adapt_input_does_not_modify_its_argument_or_the_parameters() -> None:
    received = make_input(metadata={"blessed": {"list": [1.0]}})
    original = copy.deepcopy(received)
    adapted = adapt_input(received, SPEC)
    assert received == original
    assert adapted["inputs"]["parameterValues"] == {"epochs": 3.0}
    assert adapted["outputs"]["outputFile"] == received["outputs"]["outputFile"]


def test_task_without_inputs_is_adapted() -> None:
    received = make_input()
    del received["inputs"]
    assert adapt_input(received, SPEC)["inputs"] == {"artifacts": {}}


HTML = {"schemaTitle": "system.HTML", "schemaVersion": "0.0.1"}


def make_report_input(**fields: Any) -> dict[str, Any]:
    """Builds the launcher's executor input for a task with an HTML output."""
    received = make_input()
    report = artifact(f"{TASK_ROOT}/report", type=HTML, **fields)
    received["outputs"]["artifacts"] = {"report": listed(report)}
    return received


def adapted_report(local: str = f"{LOCAL_ROOT}/report", **fields: Any) -> dict[str, Any]:
    output = {"artifacts": {"report": listed({"uri": local, "metadata": {"page": local}})}}
    adapted = adapt_output(output, make_report_input(**fields))
    (report,) = adapted["artifacts"]["report"]["artifacts"]
    return report


def test_html_output_gets_the_type_of_a_tfx_class() -> None:
    adapted = adapt_input(make_report_input(), SPEC)
    (report,) = adapted["outputs"]["artifacts"]["report"]["artifacts"]
    (name,) = re.findall(r"^title: (.+)$", report["type"]["instanceSchema"])
    assert import_utils.import_class_by_path(name).TYPE_NAME == "system.HTML"
    assert report["uri"] == f"{LOCAL_ROOT}/report"


def test_uri_of_an_html_output_is_the_page() -> None:
    report = adapted_report()
    assert report["uri"] == f"{TASK_ROOT}/report/report.html"
    assert report["metadata"] == {"page": f"{TASK_ROOT}/report"}
    assert "customPath" not in report


def test_custom_path_of_an_html_output_is_the_page() -> None:
    report = adapted_report("/data/here", customPath="/data/here")
    assert report["uri"] == f"{TASK_ROOT}/report/report.html"
    assert report["customPath"] == "/data/here/report.html"


def make_output(model_uri: str = f"{LOCAL_ROOT}/model", **metadata: Any) -> dict[str, Any]:
    return {
        "artifacts": {"model": listed({"uri": model_uri, "metadata": metadata})},
        "parameterValues": {"where": f"{LOCAL_ROOT}/model/Format-Serving"},
    }


def adapted_metadata(**metadata: Any) -> dict[str, Any]:
    adapted = adapt_output(make_output(**metadata), make_input())
    return adapted["artifacts"]["model"]["artifacts"][0]["metadata"]


def test_local_paths_of_outputs_and_parameters_become_uris() -> None:
    adapted = adapt_output(make_output(), make_input())
    assert adapted["artifacts"]["model"]["artifacts"][0]["uri"] == f"{TASK_ROOT}/model"
    assert adapted["parameterValues"]["where"] == f"{TASK_ROOT}/model/Format-Serving"


def test_local_paths_in_metadata_become_uris() -> None:
    local_examples = EXAMPLES_URI.replace("minio://", "/minio/")
    assert adapted_metadata(
        current_model=f"{LOCAL_ROOT}/model",
        file=f"{LOCAL_ROOT}/model_run/history.json",
        nested={"list": [local_examples], "json": f'{{"uri": "{local_examples}"}}'},
        pushed_destination="/serving/mnist/17",
        other=f"{LOCAL_ROOT}/models",
        count=3.0,
    ) == {
        "current_model": f"{TASK_ROOT}/model",
        "file": f"{TASK_ROOT}/model_run/history.json",
        "nested": {"list": [EXAMPLES_URI], "json": f'{{"uri": "{EXAMPLES_URI}"}}'},
        "pushed_destination": "/serving/mnist/17",
        "other": f"{LOCAL_ROOT}/models",
        "count": 3.0,
    }


def test_null_metadata_is_removed() -> None:
    assert adapted_metadata(nothing=None, zero=0.0, empty="") == {"zero": 0.0, "empty": ""}


def test_moved_output_is_an_error() -> None:
    with pytest.raises(
        ContractError, match=r"output 'model': .* moved them to .*'/data/elsewhere'"
    ):
        adapt_output(make_output(model_uri="/data/elsewhere"), make_input())


def test_output_in_a_subdirectory_is_an_error() -> None:
    with pytest.raises(ContractError, match="the executor moved them"):
        adapt_output(make_output(model_uri=f"{LOCAL_ROOT}/model/1"), make_input())
