"""Emulates KFP's driver: resolves a task's inputs and provisions its outputs.

Follows backend/src/v2/driver/{resolve,driver,cache}.go of kubeflow/pipelines, for pipelines whose
tasks are all in the root DAG. Arguments and results have the JSON form of the pipeline spec.
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
    """KFP's backend would reject the pipeline or fail."""


def fill_parameters(spec: Json, given: Mapping[str, Any]) -> Json:
    """Returns the run's parameters, including defaults.

    Follows the API server's validation of a run (backend/src/apiserver/template/v2_template.go).

    Raises:
      BackendError: a parameter is unknown or has no value.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    if unknown := sorted(set(given) - set(declared)):
        raise BackendError(f"unknown parameters {unknown}; choose from {sorted(declared)}")
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
    """Sorts the names of the tasks topologically.

    Raises:
      BackendError: a task depends on a missing task or, directly or not, on itself.
    """
    remaining = {name: _dependencies(task) for name, task in tasks.items()}
    order: list[str] = []
    while remaining:
        ready = sorted(name for name, needed in remaining.items() if needed <= set(order))
        if not ready:
            raise BackendError(f"dependencies that never run: {remaining}")
        order.extend(ready)
        remaining = {name: needed for name, needed in remaining.items() if name not in ready}
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
    """Resolves a task's inputs, like resolveInputs.

    Args:
      task: the task's PipelineTaskSpec.
      component: the task's ComponentSpec.
      parameters: the run's parameters.
      produced: returns the runtime artifact for a task name and an output name.

    Raises:
      BackendError: a parameter has no value or a value of the wrong type.
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
    """Checks a value's type, like handleParamTypeValidationAndConversion.

    String parameters accept any value.
    """
    if kind == "STRING":
        return as_text(value)
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
        raise BackendError(f"parameter {name!r}: expected {kind}, got {value!r}")
    return value


def as_text(value: Any) -> str:
    """Formats a value like PbValueToText in metadata/converter.go.

    Numbers have no exponent and as few digits as possible.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, separators=(",", ":"))
    return str(int(value)) if value == int(value) else format(Decimal(repr(value)), "f")


def provision_outputs(root: str, task: str, component: Json) -> Json:
    """Creates a task's output artifacts, including the logs, like provisionOutputs."""
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
    """Returns the local path for a URI, like LocalPathForURI in component/launcher_v2.go.

    Raises:
      BackendError: the URI's scheme is not supported.
    """
    for scheme, directory in _STAGING.items():
        if uri.startswith(scheme):
            return directory + uri.removeprefix(scheme)
    raise BackendError(f"failed to generate local path for URI {uri}: unsupported storage scheme")


def fingerprint(executor_input: Json, container: Json) -> str:
    """Computes an execution's cache key, like getFingerPrint.

    The key covers the input ids, the parameters, the outputs without URIs, the command and the
    image.
    """
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
