"""Accessors for a PipelineSpec in the JSON form of the proto, as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = dict[str, Any]


def tasks_of(spec: Mapping[str, Any]) -> dict[str, Spec]:
    """Returns the pipeline's tasks by name; modifying them modifies the spec."""
    tasks: dict[str, Spec] = spec["root"]["dag"]["tasks"]
    return tasks


def component_of(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Spec:
    """Returns a task's ComponentSpec: input and output definitions and the executor's label."""
    component: Spec = spec["components"][task["componentRef"]["name"]]
    return component


def executor_of(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Spec:
    """Returns the ExecutorSpec that runs a task."""
    label = component_of(spec, task)["executorLabel"]
    executor: Spec = spec["deploymentSpec"]["executors"][label]
    return executor


def constants_of(task: Mapping[str, Any]) -> dict[str, str]:
    """Returns a task's string parameters whose values are known at compile time."""
    parameters = task.get("inputs", {}).get("parameters", {})
    values = {
        name: source.get("runtimeValue", {}).get("constant") for name, source in parameters.items()
    }
    return {name: value for name, value in values.items() if isinstance(value, str)}
