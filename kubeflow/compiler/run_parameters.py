"""The settings that can be chosen again for each run of a compiled pipeline.

Their types and defaults come from what the pipeline was compiled with.
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
    "epochs": ((stages.TRAINER, "custom_config"), (stages.REPORT, "hyperparameters")),
    "accuracy_threshold": ((stages.MODEL_GATE, "thresholds"),),
}
"""By name: the stages that take the setting, each with its parameter.

The parameter is the setting itself, or a JSON object with a key of the setting's name.
"""


def add_run_parameters(spec: Spec) -> None:
    """Makes RUN_PARAMETERS parameters of the pipeline; what was compiled is their default.

    Raises:
      KeyError: a stage does not exist, or does not take the setting.
    """
    for name, places in RUN_PARAMETERS.items():
        for stage, parameter in places:
            _add(spec, name, tasks_of(spec)[stage], parameter)


def _add(spec: Spec, name: str, task: Spec, parameter: str) -> None:
    """Lets a run choose a value.

    The run's value replaces a whole parameter. For a value in a JSON object, the task gets one more
    input, and the object a placeholder: the launcher replaces `{{$}}`, the task's inputs as JSON,
    and then all placeholders in the result (`component/launcher_v2.go:1067`). A number in quotes
    stays the decimal that was typed.
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
    was_text = isinstance(values[name], str)
    return text if was_text else text.replace(f'"{placeholder}"', placeholder)


def _number_or_text(value: str | float) -> str | float:
    """A decimal in quotes is a number, too."""
    if not isinstance(value, str):
        return value
    try:
        return float(Decimal(value))
    except InvalidOperation:
        return value


def _type(value: str | float) -> str:
    """The `parameterType` of a value, in KFP's terms."""
    return {int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE"}.get(type(value), "STRING")
