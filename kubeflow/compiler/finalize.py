"""Makes of what TFX compiles what Kubeflow Pipelines runs; on plain dicts, without TFX.

What the backend does was read at commit 7b70c7b of kubeflow/pipelines (after 2.17.0).
"""

from __future__ import annotations

import copy
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

import yaml

from mnist_kubeflow.compiler.settings import KubeflowSettings, Secret, Stage
from pipeline.settings import SettingsError

ENTRYPOINT = ("python", "-m", "mnist_kubeflow.entrypoint")
# As KFP's SDK compiles the types that its UI shows (kfp/dsl/types/artifact_types.py).
_UI_TYPES = "system."
_UI_TYPE_VERSION = "0.0.1"
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"
# Argo's names of DAG tasks; KFP hands on those of the pipeline's tasks.
_TASK_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
# Where Vertex AI mounts Cloud Storage in each container.
_VERTEX_MOUNT = PurePosixPath("/gcs")

Spec = dict[str, Any]


class UnsupportedPipelineError(SettingsError):
    """The backend would refuse the pipeline, or lose what it makes; a line for each reason."""


@dataclass(frozen=True)
class RunParameter:
    """What can be chosen anew for each run; what the pipeline was compiled with is the default.

    Attributes:
      name: as people type it.
      type: in KFP's words.
      task: whose parameter it is.
      parameter: the task's parameter.
      key: if the parameter is a JSON object, the one of its values that is chosen.
    """

    name: str
    type: Literal["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE"]
    task: str
    parameter: str
    key: str | None = None


RUN_PARAMETERS = (
    RunParameter("data", "STRING", "ImageExampleGen", "source"),
    RunParameter("data_version", "STRING", "ImageExampleGen", "data_version"),
    RunParameter("epochs", "NUMBER_INTEGER", "Trainer", "custom_config", "epochs"),
    RunParameter("epochs", "NUMBER_INTEGER", "RunReport", "hyperparameters", "epochs"),
    RunParameter("accuracy_threshold", "NUMBER_DOUBLE", "ModelGate", "thresholds", "accuracy"),
)


def finalize(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> tuple[Spec, Spec]:
    """Completes a pipeline.

    Args:
      spec: what KubeflowV2DagRunner made, with `use_pipeline_spec_2_1`; stays as it is.
      kubeflow: about the cluster.

    Returns:
      The pipeline spec, and the platform spec, which is empty for Vertex AI.

    Raises:
      UnsupportedPipelineError: if the backend would refuse the pipeline, or it would lose the
        models that it pushes.
    """
    problems = list(_problems(spec, kubeflow))
    if problems:
        raise UnsupportedPipelineError("\n".join(problems))
    result = copy.deepcopy(dict(spec))
    for parameter in RUN_PARAMETERS:
        _add_run_parameter(result, parameter)
    for name, task in result["root"]["dag"]["tasks"].items():
        _finish_task(result, name, task, kubeflow)
    return result, _platform(result, kubeflow) if kubeflow.target == "kfp" else {}


def _problems(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> Iterator[str]:
    tasks = spec["root"]["dag"]["tasks"]
    unknown = sorted(kubeflow.stages.keys() - tasks.keys())
    if unknown:
        yield f"stages: there is no {', '.join(unknown)}; there are {', '.join(sorted(tasks))}"
    if kubeflow.target == "vertex" and kubeflow.of_kubernetes():
        yield f"target vertex: Vertex AI has no {', '.join(sorted(kubeflow.of_kubernetes()))}"
    for name, task in sorted(tasks.items()):
        if not _TASK_NAME.fullmatch(name):
            yield (
                f"{name}: expected a name of letters, digits and hyphens, because it becomes that "
                "of an Argo task; choose one with with_id()"
            )
        yield from _executor_problems(name, _executor(spec, task))
        yield from _input_problems(name, task, tasks)
        yield from _serving_problems(name, task, kubeflow)


def _executor_problems(name: str, executor: Mapping[str, Any]) -> Iterator[str]:
    if "container" not in executor and "importer" not in executor:
        yield f"{name}: Kubeflow Pipelines runs containers and importers only, no Resolver"
    if "preCacheCheck" in executor.get("container", {}).get("lifecycle", {}):
        yield (
            f"{name}: Kubeflow Pipelines and the entrypoint ignore the driver that a file-based "
            "ExampleGen needs; use one that isn't file-based"
        )


def _input_problems(name: str, task: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[str]:
    for parameter, source in task.get("inputs", {}).get("parameters", {}).items():
        producer = source.get("taskOutputParameter", {}).get("producerTask")
        if producer is not None and producer not in tasks:
            yield (
                f"{name}: TFX names {producer} as the source of {parameter}, and there is no such "
                "task; give it a value, or an input artifact in place of future()"
            )


def _serving_problems(
    name: str, task: Mapping[str, Any], kubeflow: KubeflowSettings
) -> Iterator[str]:
    for parameter, directory in _pushed_to(_constants(task)):
        shortest = posixpath.normpath(directory)
        if "://" not in directory and directory.rstrip("/") != shortest.rstrip("/"):
            # What mounts the volume looks for the mount's path in the text.
            yield f"{name}: {parameter} {directory} has to be written in full, as {shortest}"
            continue
        path = PurePosixPath(directory)
        if kubeflow.target == "vertex":
            lasts = _VERTEX_MOUNT in path.parents
            place = f"Cloud Storage's mount, {_VERTEX_MOUNT}/<bucket>"
        else:
            lasts = path.is_relative_to(kubeflow.mount_path)
            place = f"the volume's mount, {kubeflow.mount_path}"
        if not lasts:
            yield (
                f"{name}: {parameter} {directory} is in the pod, and lost with it; "
                f"choose a directory below {place}"
            )


def _pushed_to(constants: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Parameters that say where models are pushed: our components', and TFX's Pusher's.

    TFX's also writes to Cloud Storage, the only store that TensorFlow brings; ours only to files.
    """
    if "serving_dir" in constants:
        yield "serving_dir", constants["serving_dir"]
    filesystem = json.loads(constants.get("push_destination", "{}")).get("filesystem", {})
    directory = filesystem.get("base_directory", filesystem.get("baseDirectory"))
    if directory and not directory.startswith("gs://"):
        yield "push_destination", directory


def _add_run_parameter(spec: Spec, parameter: RunParameter) -> None:
    """Lets a value be chosen.

    A whole parameter is taken from the run's. A value within a JSON object becomes a placeholder,
    and its parameter one more input of the task: the launcher replaces `{{$}}`, the task's inputs
    as JSON, and then all placeholders in what came of it (`component/launcher_v2.go:1067`). A
    number in quotes stays the decimal that was typed.
    """
    task = spec["root"]["dag"]["tasks"][parameter.task]
    inputs = task["inputs"]["parameters"]
    constant = inputs[parameter.parameter]["runtimeValue"]["constant"]
    source = {"componentInputParameter": parameter.name}
    if parameter.key is None:
        default = constant
        inputs[parameter.parameter] = source
    else:
        values = json.loads(constant)
        default = values[parameter.key]
        inputs[parameter.name] = source
        inputs[parameter.parameter]["runtimeValue"]["constant"] = _with_placeholder(
            values, parameter
        )
        component = spec["components"][task["componentRef"]["name"]]
        definition = {"parameterType": parameter.type}
        component["inputDefinitions"]["parameters"][parameter.name] = definition
    definitions = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    definitions[parameter.name] = {
        "parameterType": parameter.type,
        "defaultValue": default if parameter.type == "STRING" else _number(default),
        "isOptional": True,
    }


def _with_placeholder(values: Mapping[str, Any], parameter: RunParameter) -> str:
    placeholder = f"{{{{$.inputs.parameters['{parameter.name}']}}}}"
    was_text = isinstance(values[str(parameter.key)], str)
    text = json.dumps({**values, str(parameter.key): placeholder}, sort_keys=True)
    return text if was_text else text.replace(f'"{placeholder}"', placeholder)


def _number(value: str | float) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number


def _finish_task(spec: Spec, name: str, task: Spec, kubeflow: KubeflowSettings) -> None:
    stage = kubeflow.stage(name)
    task["cachingOptions"] = {"enableCache": stage.cache}
    if stage.retries:
        task["retryPolicy"] = {
            "maxRetryCount": stage.retries,
            "backoffDuration": "60s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": "3600s",
        }
    _name_ui_types(spec["components"][task["componentRef"]["name"]])
    container = _executor(spec, task).get("container")
    if container is None:
        return
    container["command"] = list(ENTRYPOINT)
    container["image"] = kubeflow.image
    container["resources"] = _resources(stage, kubeflow.gpu_type)
    definitions = spec["components"][task["componentRef"]["name"]].get("inputDefinitions", {})
    args = container["args"]
    args[args.index(_INPUTS_SPEC) + 1] = json.dumps(definitions, indent=2, sort_keys=True)


def _name_ui_types(component: Mapping[str, Any]) -> None:
    """Gives outputs the types of KFP's own by their titles alone.

    The launcher would take the title out of TFX's schema, too (`getArtifactSchema` in
    component/launcher_v2.go), but that is for types that KFP doesn't know.
    """
    for output in component.get("outputDefinitions", {}).get("artifacts", {}).values():
        schema = yaml.safe_load(output["artifactType"].get("instanceSchema", "{}"))
        if schema.get("title", "").startswith(_UI_TYPES):
            output["artifactType"] = {
                "schemaTitle": schema["title"],
                "schemaVersion": _UI_TYPE_VERSION,
            }


def _resources(stage: Stage, gpu_type: str) -> Spec:
    resources: Spec = {"cpuLimit": stage.cpu, "memoryLimit": stage.memory_gb}
    if stage.gpus:
        resources["accelerator"] = {"type": gpu_type, "count": str(stage.gpus)}
    return resources


def _platform(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> Spec:
    """The second document; its names are those of `kubernetes_executor_config.proto`."""
    tasks = spec["root"]["dag"]["tasks"]
    executors = {
        spec["components"][task["componentRef"]["name"]]["executorLabel"]: config
        for name, task in tasks.items()
        if (config := _pod(task, kubeflow.stage(name), kubeflow))
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _pod(task: Mapping[str, Any], stage: Stage, kubeflow: KubeflowSettings) -> Spec:
    """What isn't empty of a pod's settings."""
    volume = {**_named(kubeflow.pvc, "pvcNameParameter"), "constant": kubeflow.pvc}
    config = {
        "imagePullPolicy": kubeflow.image_pull_policy,
        "imagePullSecret": [_secret_name(name) for name in kubeflow.image_pull_secrets],
        "nodeSelector": {"labels": dict(stage.node_selector)} if stage.node_selector else None,
        "tolerations": [
            _without_empty(toleration.model_dump()) for toleration in stage.tolerations
        ],
        "secretAsEnv": [_secret(secret) for secret in stage.secrets],
        "pvcMount": [{**volume, "mountPath": kubeflow.mount_path}]
        if _needs_volume(task, kubeflow.mount_path)
        else None,
    }
    return _without_empty(config)


def _without_empty(config: Spec) -> Spec:
    return {key: value for key, value in config.items() if value}


def _secret(secret: Secret) -> Spec:
    pairs = [{"secretKey": key, "envVar": variable} for key, variable in secret.keys.items()]
    return {**_secret_name(secret.name), "keyToEnv": pairs, "optional": False}


def _secret_name(name: str) -> Spec:
    return {**_named(name, "secretNameParameter"), "secretName": name}


def _named(name: str, parameter: str) -> Spec:
    """The newer form of a name; the plain one beside it is for backends that don't know this."""
    return {parameter: {"runtimeValue": {"constant": name}}}


def _needs_volume(task: Mapping[str, Any], mount_path: str) -> bool:
    """Whether a parameter, or a value in one, is a path on the volume."""
    path = re.compile(rf"(^|\"){re.escape(mount_path)}($|/|\")")
    return any(path.search(value) for value in _constants(task).values())


def _constants(task: Mapping[str, Any]) -> dict[str, str]:
    """Parameters of a task that are texts known now."""
    parameters = task.get("inputs", {}).get("parameters", {})
    values = {
        name: source.get("runtimeValue", {}).get("constant") for name, source in parameters.items()
    }
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _executor(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Spec:
    label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
    executor: Spec = spec["deploymentSpec"]["executors"][label]
    return executor
