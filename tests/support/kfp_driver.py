"""What KFP's driver does for a task: resolves its inputs, and says where its outputs go.

Follows backend/src/v2/driver/{resolve,driver,cache}.go of kubeflow/pipelines, for pipelines whose
tasks are all in the root DAG. Everything is in the JSON form of the pipeline spec.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

Json = dict[str, Any]

_STAGING = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
_TYPES: dict[str, tuple[type, ...]] = {
    "NUMBER_DOUBLE": (int, float),
    "NUMBER_INTEGER": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


class BackendError(Exception):
    """What KFP's backend would refuse, or fail with."""


def fill_parameters(spec: Json, given: Mapping[str, Any]) -> Json:
    """The run's parameters, with defaults.

    As the API server's validation of a run does (backend/src/apiserver/template/v2_template.go).

    Raises:
      BackendError: one has no value, or is unknown.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    if unknown := sorted(set(given) - set(declared)):
        raise BackendError(f"unknown parameters {unknown}, there are {sorted(declared)}")
    values = {}
    for name, parameter in declared.items():
        if name in given:
            values[name] = given[name]
        elif "defaultValue" in parameter:
            values[name] = parameter["defaultValue"]
        elif not parameter.get("isOptional"):
            raise BackendError(f"parameter {name} is not optional, yet has no value")
    return values


def task_order(tasks: Mapping[str, Json]) -> list[str]:
    """Names of the tasks, each after those that it depends on.

    Raises:
      BackendError: a task depends on one that there is not, or on itself.
    """
    waiting = {name: _dependencies(task) for name, task in tasks.items()}
    order: list[str] = []
    while waiting:
        ready = sorted(name for name, needed in waiting.items() if needed <= set(order))
        if not ready:
            raise BackendError(f"these tasks depend on ones that never run: {waiting}")
        order.extend(ready)
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}
    return order


def _dependencies(task: Json) -> set[str]:
    inputs = task.get("inputs", {})
    producers = {
        source[kind]["producerTask"]
        for group, kind in (
            ("artifacts", "taskOutputArtifact"),
            ("parameters", "taskOutputParameter"),
        )
        for source in inputs.get(group, {}).values()
        if kind in source
    }
    return producers | set(task.get("dependentTasks", []))


def resolve_inputs(
    task: Json,
    component: Json,
    parameters: Json,
    produced: Callable[[str, str], Json],
) -> Json:
    """As resolveInputs does.

    Args:
      task: its PipelineTaskSpec.
      component: its ComponentSpec.
      parameters: of the run.
      produced: gives the runtime artifact of a task's output.

    Raises:
      BackendError: a parameter has no value or one of another type.
    """
    inputs = task.get("inputs", {})
    values = {
        name: _resolve_parameter(source, parameters)
        for name, source in inputs.get("parameters", {}).items()
    }
    declared = component.get("inputDefinitions", {}).get("parameters", {})
    for name, parameter in declared.items():
        if name not in values:
            if "defaultValue" not in parameter and not parameter.get("isOptional"):
                raise BackendError(f"no value or default for parameter {name!r}")
        else:
            values[name] = _convert(name, values[name], parameter["parameterType"])
    return {
        "parameterValues": values,
        "artifacts": {
            name: {"artifacts": [produced(*_producer(source))]}
            for name, source in inputs.get("artifacts", {}).items()
        },
    }


def _producer(source: Json) -> tuple[str, str]:
    output = source["taskOutputArtifact"]
    return output["producerTask"], output["outputArtifactKey"]


def _resolve_parameter(source: Json, parameters: Json) -> Any:
    if "componentInputParameter" in source:
        return parameters[source["componentInputParameter"]]
    if "constant" in source.get("runtimeValue", {}):
        return source["runtimeValue"]["constant"]
    raise BackendError(f"parameter spec {source} is not implemented")


def _convert(name: str, value: Any, kind: str) -> Any:
    """As handleParamTypeValidationAndConversion does: anything goes for a string."""
    if kind == "STRING":
        return as_text(value)
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
        raise BackendError(f"parameter {name!r}: expected {kind}, got {value!r}")
    return value


def as_text(value: Any) -> str:
    """PbValueToText in metadata/converter.go: numbers without exponent, and as short as can be."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, separators=(",", ":"))
    return str(int(value)) if value == int(value) else format(Decimal(repr(value)), "f")


def provision_outputs(root: str, task: str, component: Json) -> Json:
    """As provisionOutputs does, with logs published."""
    task_root = f"{root}/{task}/{uuid.uuid4()}"
    specs = component.get("outputDefinitions", {}).get("artifacts", {}) | {
        "executor-logs": {"artifactType": {"schemaTitle": "system.Artifact"}}
    }
    return {
        "artifacts": {
            name: {
                "artifacts": [
                    {
                        "name": name,
                        "uri": f"{task_root}/{name}",
                        "type": spec["artifactType"],
                        "metadata": spec.get("metadata", {}),
                    }
                ]
            }
            for name, spec in specs.items()
        },
        "outputFile": str(PurePosixPath(local_path(task_root)) / "output_metadata.json"),
    }


def local_path(uri: str) -> str:
    """As LocalPathForURI in component/launcher_v2.go does.

    Raises:
      BackendError: for another scheme.
    """
    for scheme, directory in _STAGING.items():
        if uri.startswith(scheme):
            return directory + uri.removeprefix(scheme)
    raise BackendError(f"failed to generate local path for URI {uri}: unsupported storage scheme")


def fingerprint(executor_input: Json, container: Json) -> str:
    """Like getFingerPrint: of inputs' ids, parameters, outputs without URIs, command and image."""
    key = {
        "inputArtifactNames": {
            name: [artifact["name"] for artifact in listed["artifacts"]]
            for name, listed in executor_input["inputs"]["artifacts"].items()
        },
        "inputParameterValues": executor_input["inputs"]["parameterValues"],
        "outputArtifactsSpec": {
            name: [{k: v for k, v in a.items() if k != "uri"} for a in listed["artifacts"]]
            for name, listed in executor_input["outputs"]["artifacts"].items()
        },
        "cmdArgs": [*container.get("command", []), *container.get("args", [])],
        "image": container["image"],
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
