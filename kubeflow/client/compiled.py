"""Reads what `submit` needs to know about a compiled pipeline."""

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
    """The file or the parameters can't be submitted; the message is one line."""


@dataclass(frozen=True)
class CompiledPipeline:
    """A compiled pipeline, read from its YAML.

    Attributes:
      parameters: the type of each runtime parameter (PipelineSpec's `parameterType`), by name.
      tasks: the names of the tasks, as Kubeflow Pipelines shows them.
      version: hash of the content, so that the same content is uploaded only once.
    """

    path: Path
    name: str
    parameters: Mapping[str, str]
    tasks: frozenset[str]
    version: str


def read_compiled(path: Path) -> CompiledPipeline:
    """Reads the PipelineSpec, which is the file's first document.

    Raises:
      SubmitUsageError: it is not a compiled pipeline, or lacks a stage whose failure has an exit
        status of its own.
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
            f"{', '.join(missing)}; compile it again"
        )
    return pipeline


def parse_parameters(pipeline: CompiledPipeline, given: Mapping[str, str]) -> dict[str, Any]:
    """Gives the parameters the types that the API server insists on.

    Raises:
      SubmitUsageError: the pipeline has no such parameter, or the value is not of its type.
    """
    unknown = sorted(set(given) - set(pipeline.parameters))
    if unknown:
        known = ", ".join(sorted(pipeline.parameters)) or "none"
        raise SubmitUsageError(f"expected parameters among {known}, received {', '.join(unknown)}")
    return {name: _parse(name, text, pipeline.parameters[name]) for name, text in given.items()}


def _parse(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    wanted, type_ = _KINDS.get(kind, (f"a value of type {kind}", dict))
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if type_ is float and type(value) is int:
        return float(value)
    if type(value) is not type_:
        raise SubmitUsageError(f"expected {wanted} for {name}, received {text!r}")
    return value
