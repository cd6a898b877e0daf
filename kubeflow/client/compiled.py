"""Reads a compiled pipeline and checks runtime parameters before `submit` sends anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mnist_kubeflow.client.run_outcome import REJECTIONS

_KINDS = {
    "BOOLEAN": ("true or false", bool),
    "LIST": ("a JSON list", list),
    "NUMBER_DOUBLE": ("a number", float),
    "NUMBER_INTEGER": ("an integer", int),
    "STRUCT": ("a JSON object", dict),
}


class SubmitUsageError(Exception):
    """The pipeline file or a parameter is invalid. The message is one line."""


@dataclass(frozen=True)
class CompiledPipeline:
    """A compiled pipeline, read from its YAML.

    Attributes:
      path: the YAML file.
      name: the pipeline's name.
      parameters: the type of each runtime parameter (PipelineSpec's `parameterType`), by name.
      tasks: the task names, as Kubeflow Pipelines shows them.
      version: hash of the file, so that `submit` uploads the same content only once.
    """

    path: Path
    name: str
    parameters: Mapping[str, str]
    tasks: frozenset[str]
    version: str


def read_compiled(path: Path) -> CompiledPipeline:
    """Reads the PipelineSpec, the first document in the file.

    Raises:
      SubmitUsageError: the file is not a compiled pipeline, or a task in REJECTIONS is missing.
    """
    content = path.read_bytes()
    try:
        spec = next(yaml.safe_load_all(content))
        root = spec["root"]
        inputs = root.get("inputDefinitions", {}).get("parameters", {})
        pipeline = CompiledPipeline(
            path=path,
            name=spec["pipelineInfo"]["name"],
            parameters={name: value["parameterType"] for name, value in inputs.items()},
            tasks=frozenset(root["dag"]["tasks"]),
            version=hashlib.sha256(content).hexdigest()[:12],
        )
    except (yaml.YAMLError, AttributeError, KeyError, StopIteration, TypeError) as error:
        raise SubmitUsageError(
            f"expected a pipeline compiled by `mnist-pipeline compile`, received {path} "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'empty'})"
        ) from error
    missing = sorted(REJECTIONS.keys() - pipeline.tasks)
    if missing:
        raise SubmitUsageError(
            f"expected a pipeline with the stages {', '.join(REJECTIONS)}, received {path} without "
            f"{', '.join(missing)}; compile the pipeline again"
        )
    return pipeline


def parse_parameters(pipeline: CompiledPipeline, given: Mapping[str, str]) -> dict[str, Any]:
    """Converts parameters from text to the types that the API server requires.

    Raises:
      SubmitUsageError: the pipeline has no such parameter, or a value has the wrong type.
    """
    unknown = sorted(set(given) - set(pipeline.parameters))
    if unknown:
        known = ", ".join(sorted(pipeline.parameters)) or "none"
        raise SubmitUsageError(f"unknown parameters {', '.join(unknown)}; choose from {known}")
    return {name: _parse(name, text, pipeline.parameters[name]) for name, text in given.items()}


def _parse(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    expected, type_ = _KINDS.get(kind, (f"a value of type {kind}", dict))
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if type_ is float and type(value) is int:
        return float(value)
    if type(value) is not type_:
        raise SubmitUsageError(f"expected {expected} for {name}, received {text!r}")
    return value
