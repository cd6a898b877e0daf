"""Reads a PipelineSpec as TFX compiles it: plain dicts, in the JSON form of the proto."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = dict[str, Any]


def tasks_of(spec: Mapping[str, Any]) -> dict[str, Spec]:
    """The pipeline's tasks by name; changes of them are changes of the spec."""
    tasks: dict[str, Spec] = spec["root"]["dag"]["tasks"]
    return tasks


def component_of(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Spec:
    """The interface of a task: its inputs, its outputs, and the label of its executor."""
    component: Spec = spec["components"][task["componentRef"]["name"]]
    return component


def executor_of(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Spec:
    """What runs a task."""
    label = component_of(spec, task)["executorLabel"]
    executor: Spec = spec["deploymentSpec"]["executors"][label]
    return executor


def constants_of(task: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a task whose values are strings known at compile time."""
    parameters = task.get("inputs", {}).get("parameters", {})
    values = {
        name: source.get("runtimeValue", {}).get("constant") for name, source in parameters.items()
    }
    return {name: value for name, value in values.items() if isinstance(value, str)}
