"""Tests the finalizer on a small pipeline spec in the form that TFX compiles."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mnist_kubeflow.compiler.checks import UnsupportedPipelineError
from mnist_kubeflow.compiler.finalize import finalize
from mnist_kubeflow.compiler.settings import KubeflowSettings, make_kubeflow_settings
from pipeline import stages

Spec = dict[str, Any]
KFP = KubeflowSettings(image="mnist:1")
VERTEX = KubeflowSettings(image="mnist:1", target="vertex")


def make_spec(**tasks: Spec) -> Spec:
    """Builds a spec from the constant parameters of each task."""
    spec: Spec = {
        "components": {},
        "deploymentSpec": {"executors": {}},
        "root": {"dag": {"tasks": {}}},
    }
    for name, constants in tasks.items():
        add_task(spec, name, constants)
    return spec


def add_task(spec: Spec, name: str, constants: Spec) -> None:
    definitions = {"parameters": {key: {"parameterType": "STRING"} for key in constants}}
    spec["components"][name] = {
        "executorLabel": f"{name}_executor",
        "inputDefinitions": definitions,
    }
    spec["deploymentSpec"]["executors"][f"{name}_executor"] = {
        "container": {
            "image": "another",
            "command": ["another"],
            "args": [
                "--executor_class_path",
                "some.Executor",
                "--json_serialized_inputs_spec_args",
                "TFX's",
                "--runner=some",
            ],
        }
    }
    spec["root"]["dag"]["tasks"][name] = {
        "componentRef": {"name": name},
        "inputs": {
            "parameters": {
                key: {"runtimeValue": {"constant": value}} for key, value in constants.items()
            }
        },
        "taskInfo": {"name": name},
    }


@pytest.fixture
def spec() -> Spec:
    return make_spec(
        **{
            stages.EXAMPLE_GEN: {"source": "tfds", "data_dir": "", "data_version": ""},
            stages.TRAINER: {"custom_config": '{"seed": 42, "epochs": 10}'},
            stages.MODEL_GATE: {"thresholds": '{"accuracy_threshold": "0.95", "max_loss": "0.25"}'},
            stages.REPORT: {"hyperparameters": '{"epochs": 10}'},
            stages.PUSHER: {
                "serving_dir": "/serving",
                "model_name": "mnist",
                "hyperparameters": '{"epochs": 10}',
            },
        }
    )


def task(spec: Spec, name: str) -> Spec:
    found: Spec = spec["root"]["dag"]["tasks"][name]
    return found


def container(spec: Spec, name: str) -> Spec:
    found: Spec = spec["deploymentSpec"]["executors"][f"{name}_executor"]["container"]
    return found


def launch(spec: Spec, name: str, values: dict[str, str]) -> Spec:
    """Replaces placeholders in a task's parameters as text, as the launcher does."""
    parameters = {
        key: values[source["componentInputParameter"]]
        if "componentInputParameter" in source
        else source["runtimeValue"]["constant"]
        for key, source in task(spec, name)["inputs"]["parameters"].items()
    }
    text = json.dumps(parameters)
    for key, value in parameters.items():
        text = text.replace(f"{{{{$.inputs.parameters['{key}']}}}}", value)
    launched: Spec = json.loads(text)
    return launched


def test_run_parameters_default_to_the_compiled_values(spec: Spec) -> None:
    final, _ = finalize(spec, KFP)
    assert final["root"]["inputDefinitions"]["parameters"] == {
        "data": {"parameterType": "STRING", "defaultValue": "tfds", "isOptional": True},
        "data_version": {"parameterType": "STRING", "defaultValue": "", "isOptional": True},
        "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 10, "isOptional": True},
        "accuracy_threshold": {
            "parameterType": "NUMBER_DOUBLE",
            "defaultValue": 0.95,
            "isOptional": True,
        },
    }


def test_run_parameter_replaces_a_number_in_a_json_parameter(spec: Spec) -> None:
    final, _ = finalize(spec, KFP)
    trainer = launch(final, "Trainer", {"epochs": "5"})
    assert json.loads(trainer["custom_config"]) == {"seed": 42, "epochs": 5}


def test_run_parameter_reaches_every_stage_that_uses_it(spec: Spec) -> None:
    final, _ = finalize(spec, KFP)
    for stage in ("RunReport", "Pusher"):
        launched = launch(final, stage, {"epochs": "5"})
        assert json.loads(launched["hyperparameters"]) == {"epochs": 5}


def test_output_with_a_type_of_kfp_gets_a_schema_title(spec: Spec) -> None:
    types = {
        "report": {"instanceSchema": "title: system.HTML\ntype: object\n"},
        "model": {"instanceSchema": "title: tfx.Model\ntype: object\n"},
    }
    artifacts = {name: {"artifactType": type_} for name, type_ in types.items()}
    spec["components"]["RunReport"]["outputDefinitions"] = {"artifacts": artifacts}
    final, _ = finalize(spec, KFP)
    assert final["components"]["RunReport"]["outputDefinitions"]["artifacts"] == {
        "report": {"artifactType": {"schemaTitle": "system.HTML", "schemaVersion": "0.0.1"}},
        "model": artifacts["model"],
    }


def test_threshold_stays_an_exact_decimal(spec: Spec) -> None:
    final, _ = finalize(spec, KFP)
    gate = launch(final, "ModelGate", {"accuracy_threshold": "0.97"})
    assert json.loads(gate["thresholds"]) == {
        "accuracy_threshold": "0.97",
        "max_loss": "0.25",
    }


def test_setting_that_the_stage_does_not_use_is_an_error(spec: Spec) -> None:
    constant = {"runtimeValue": {"constant": '{"accuracy": "0.95"}'}}
    task(spec, stages.MODEL_GATE)["inputs"]["parameters"]["thresholds"] = constant
    with pytest.raises(KeyError, match="accuracy_threshold"):
        finalize(spec, KFP)


def test_missing_stage_of_a_run_parameter_is_an_error(spec: Spec) -> None:
    tasks = spec["root"]["dag"]["tasks"]
    tasks["AnotherGen"] = tasks.pop(stages.EXAMPLE_GEN)
    with pytest.raises(KeyError, match=stages.EXAMPLE_GEN):
        finalize(spec, KFP)


def test_run_parameter_replaces_a_whole_parameter(spec: Spec) -> None:
    final, _ = finalize(spec, KFP)
    given = {"data": "bundled", "data_version": "2026-11"}
    assert launch(final, stages.EXAMPLE_GEN, given) == {
        "source": "bundled",
        "data_dir": "",
        "data_version": "2026-11",
    }


def test_added_input_is_declared_in_the_component_and_the_entrypoint_arguments(spec: Spec) -> None:
    final, _ = finalize(spec, KFP)
    definitions = final["components"]["Trainer"]["inputDefinitions"]
    assert definitions["parameters"]["epochs"] == {"parameterType": "NUMBER_INTEGER"}
    args = container(final, "Trainer")["args"]
    assert json.loads(args[3]) == definitions
    assert args[4] == "--runner=some"


def test_containers_run_the_entrypoint_in_the_given_image(spec: Spec) -> None:
    final, _ = finalize(spec, KFP)
    for name in spec["root"]["dag"]["tasks"]:
        assert container(final, name)["image"] == "mnist:1"
        assert container(final, name)["command"] == ["python", "-m", "mnist_kubeflow.entrypoint"]


def test_finalize_does_not_modify_its_input(spec: Spec) -> None:
    original = copy.deepcopy(spec)
    finalize(spec, KFP)
    assert spec == original


def test_stages_have_their_resources_retries_and_cache(spec: Spec) -> None:
    kubeflow = make_kubeflow_settings(
        {"image": "mnist:1", "stages": {"Trainer": {"cpu": 8, "memory_gb": 32, "gpus": 2}}}
    )
    final, _ = finalize(spec, kubeflow)
    assert container(final, "Trainer")["resources"] == {
        "cpuLimit": 8,
        "memoryLimit": 32,
        "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
    }
    assert task(final, "Trainer")["retryPolicy"]["maxRetryCount"] == 2
    assert task(final, "Trainer")["cachingOptions"] == {"enableCache": True}
    assert "retryPolicy" not in task(final, "Pusher")
    assert task(final, "Pusher")["cachingOptions"] == {"enableCache": False}


@pytest.mark.parametrize(
    ("constants", "mounted"),
    [
        ({"data_dir": "/serving/data"}, True),
        ({"custom_config": '{"backup_dir": "/serving", "epochs": 1}'}, True),
        ({"custom_config": '{"backup_dir": "/serving/backups", "epochs": 1}'}, True),
        ({"data_dir": "/servings"}, False),
        ({"data_dir": "/mnt/serving"}, False),
        ({"data_dir": ""}, False),
    ],
)
def test_volume_is_mounted_if_a_parameter_contains_a_path_on_it(
    spec: Spec, constants: Spec, mounted: bool
) -> None:
    add_task(spec, "Other", constants)
    _, platform = finalize(spec, KFP)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["Pusher_executor"]["pvcMount"][0]["mountPath"] == "/serving"
    assert ("Other_executor" in executors) == mounted


def test_invalid_argo_task_name_is_rejected(spec: Spec) -> None:
    add_task(spec, "data_gate", {})
    with pytest.raises(UnsupportedPipelineError, match=r"^data_gate: expected a component id of"):
        finalize(spec, KFP)


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_file_based_example_gen_is_rejected(spec: Spec, target: str) -> None:
    container(spec, stages.EXAMPLE_GEN)["lifecycle"] = {"preCacheCheck": {"command": ["x"]}}
    with pytest.raises(UnsupportedPipelineError, match=rf"^{stages.EXAMPLE_GEN}: a file-based"):
        finalize(spec, make_kubeflow_settings({"image": "mnist:1", "target": target}))


def test_parameter_from_a_missing_task_is_rejected(spec: Spec) -> None:
    task(spec, "Trainer")["inputs"]["parameters"]["run_fn"] = {
        "taskOutputParameter": {"producerTask": "Tuner_task", "outputParameterKey": "value"}
    }
    with pytest.raises(
        UnsupportedPipelineError, match=r"^Trainer: parameter run_fn comes from Tuner_task, which"
    ):
        finalize(spec, KFP)


@pytest.mark.parametrize(
    "serving_dir", ["/tmp/serving", "/servings", "/", "//serving", "s3://bucket/serving"]
)
def test_serving_dir_outside_the_volume_is_rejected(spec: Spec, serving_dir: str) -> None:
    add_task(spec, "Pusher", {"serving_dir": serving_dir})
    with pytest.raises(
        UnsupportedPipelineError,
        match=rf"^Pusher: serving_dir {serving_dir} is inside the pod and .* mount path /serving$",
    ):
        finalize(spec, KFP)


@pytest.mark.parametrize(
    "serving_dir", ["/serving/../tmp", "/data/../serving", "/./serving", "/serving//x"]
)
def test_serving_dir_must_be_normalized(spec: Spec, serving_dir: str) -> None:
    add_task(spec, "Pusher", {"serving_dir": serving_dir})
    with pytest.raises(
        UnsupportedPipelineError,
        match=rf"^Pusher: serving_dir {serving_dir} must be written as /\w+",
    ):
        finalize(spec, KFP)


@pytest.mark.parametrize("address", ["file:///tmp/x", "s3://bucket/x", "minio://bucket/x"])
def test_tfx_pusher_with_an_unsupported_scheme_is_rejected(spec: Spec, address: str) -> None:
    destination = {"filesystem": {"base_directory": address}}
    add_task(spec, "Stock", {"push_destination": json.dumps(destination)})
    with pytest.raises(UnsupportedPipelineError, match=rf"^Stock: push_destination {address} is"):
        finalize(spec, KFP)


@pytest.mark.parametrize("key", ["base_directory", "baseDirectory"])
def test_tfx_pusher_outside_the_volume_is_rejected(spec: Spec, key: str) -> None:
    add_task(spec, "Stock", {"push_destination": json.dumps({"filesystem": {key: "/tmp/serving"}})})
    with pytest.raises(
        UnsupportedPipelineError, match=r"^Stock: push_destination /tmp/serving is inside the pod"
    ):
        finalize(spec, KFP)


@pytest.mark.parametrize("directory", ["/serving/models", "gs://bucket/serving"])
def test_tfx_pusher_may_push_to_the_volume_and_to_cloud_storage(spec: Spec, directory: str) -> None:
    destination = {"filesystem": {"base_directory": directory}}
    add_task(spec, "Stock", {"push_destination": json.dumps(destination)})
    _, platform = finalize(spec, KFP)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert ("Stock_executor" in executors) == directory.startswith("/serving")


def test_settings_of_an_unknown_stage_are_rejected(spec: Spec) -> None:
    kubeflow = make_kubeflow_settings({"image": "mnist:1", "stages": {"Tuner": {"cpu": 2}}})
    with pytest.raises(
        UnsupportedPipelineError, match=r"^stages: unknown stage Tuner; choose from ImageExampleGen"
    ):
        finalize(spec, kubeflow)


def test_each_problem_is_one_line(spec: Spec) -> None:
    add_task(spec, "data_gate", {})
    add_task(spec, "Pusher", {"serving_dir": "/tmp"})
    with pytest.raises(UnsupportedPipelineError) as error:
        finalize(spec, KFP)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("serving_dir", ["/serving", "/gcs", "/gcs/"])
def test_vertex_requires_a_serving_dir_in_a_bucket(spec: Spec, serving_dir: str) -> None:
    add_task(spec, "Pusher", {"serving_dir": serving_dir})
    with pytest.raises(
        UnsupportedPipelineError, match=r"below the Cloud Storage mount /gcs/<bucket>$"
    ):
        finalize(spec, VERTEX)


@pytest.mark.parametrize("serving_dir", ["/gcs/bucket", "/gcs/bucket/serving"])
def test_vertex_has_no_platform_document(spec: Spec, serving_dir: str) -> None:
    add_task(spec, "Pusher", {"serving_dir": serving_dir, "hyperparameters": '{"epochs": 10}'})
    assert finalize(spec, VERTEX)[1] == {}


def test_kubernetes_settings_are_rejected_for_vertex(spec: Spec) -> None:
    add_task(spec, "Pusher", {"serving_dir": "/gcs/bucket/serving"})
    vertex = make_kubeflow_settings(
        {
            "image": "mnist:1",
            "target": "vertex",
            "pvc": "models",
            "stages": {"Trainer": {"node_selector": {"pool": "ml"}}},
        }
    )
    with pytest.raises(
        UnsupportedPipelineError, match=r"^target: vertex does not support node_selector, pvc; "
    ):
        finalize(spec, vertex)
