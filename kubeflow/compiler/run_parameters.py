"""Runtime parameters: settings that each run of a compiled pipeline can override.

Their types and defaults come from the settings at compile time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from mnist_kubeflow.compiler.spec import Spec, component_of, tasks_of
from pipeline import stages

RUN_PARAMETERS: dict[str, tuple[tuple[str, str], ...]] = {
    "data": ((stages.EXAMPLE_GEN, "source"),),
    "data_version": ((stages.EXAMPLE_GEN, "data_version"),),
    "epochs": (
        (stages.TRAINER, "custom_config"),
        (stages.REPORT, "hyperparameters"),
        (stages.PUSHER, "hyperparameters"),
    ),
    "accuracy_threshold": ((stages.MODEL_GATE, "thresholds"),),
}
"""The stages that use each setting, with the name of the component's parameter.

That parameter is either the setting itself or a JSON object in which the setting is a key.
"""


def add_run_parameters(spec: Spec) -> None:
    """Declares RUN_PARAMETERS as pipeline parameters, with the compiled values as defaults.

    Args:
      spec: a PipelineSpec, modified in place.

    Raises:
      KeyError: a stage does not exist or does not use the setting.
    """
    for name, places in RUN_PARAMETERS.items():
        for stage, parameter in places:
            _add(spec, name, tasks_of(spec)[stage], parameter)


def _add(spec: Spec, name: str, task: Spec, parameter: str) -> None:
    """Connects a component's parameter to a pipeline parameter.

    If the component's parameter is the setting itself, the pipeline parameter replaces it. If the
    setting is a key in a JSON object, the task gets an additional input, and the object gets a
    placeholder for that input. The launcher first replaces `{{$}}` with the task's inputs as JSON
    and then replaces the placeholders in that text (`component/launcher_v2.go:1067`). A number in
    quotes stays in quotes, so it remains an exact decimal.
    """
    inputs = task["inputs"]["parameters"]
    constant = inputs[parameter]["runtimeValue"]["constant"]
    source = {"componentInputParameter": name}
    values = _json_object(constant)
    if values is None:
        default = constant
        inputs[parameter] = source
    else:
        default = _number_or_text(values[name])
        inputs[name] = source
        inputs[parameter]["runtimeValue"]["constant"] = _with_placeholder(values, name)
        definitions = component_of(spec, task)["inputDefinitions"]["parameters"]
        definitions[name] = {"parameterType": _type(default)}
    declared = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    declared[name] = {
        "parameterType": _type(default),
        "defaultValue": default,
        "isOptional": True,
    }


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _with_placeholder(values: Mapping[str, Any], name: str) -> str:
    placeholder = f"{{{{$.inputs.parameters['{name}']}}}}"
    text = json.dumps({**values, name: placeholder}, sort_keys=True)
    quoted = isinstance(values[name], str)
    return text if quoted else text.replace(f'"{placeholder}"', placeholder)


def _number_or_text(value: str | float) -> str | float:
    """Converts a decimal in quotes to a number."""
    if not isinstance(value, str):
        return value
    try:
        return float(Decimal(value))
    except InvalidOperation:
        return value


def _type(value: str | float) -> str:
    """KFP's `parameterType` of a value."""
    return {int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE"}.get(type(value), "STRING")
