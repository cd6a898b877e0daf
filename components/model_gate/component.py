"""The interface of the ModelGate component."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.model_gate.executor import Executor
from components.model_gate.thresholds import Thresholds


class ModelGateSpec(ComponentSpec):
    """Interface of ModelGate."""

    PARAMETERS = {"thresholds": ExecutionParameter(type=str)}
    INPUTS = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {"blessing": ChannelParameter(type=standard_artifacts.ModelBlessing)}


class ModelGate(base_component.BaseComponent):
    """Decides whether a model is blessed, and records the reasons.

    The decision depends on the Evaluator's metrics, and on the model's behavior in a new process
    (`components.model_gate.probe`). The metrics must match that behavior.

    The component succeeds either way so that a rejected model still gets a report. The Pusher
    enforces the verdict. Like the stock Evaluator's, the output `blessing` is a ModelBlessing. It
    also contains the `components.model_gate.rules.Verdict` in the file `rules.VERDICT_FILE`.
    """

    SPEC_CLASS = ModelGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        evaluation: BaseChannel[Any],
        examples: BaseChannel[Any],
        model: BaseChannel[Any],
        thresholds: str,
        baseline_model: BaseChannel[Any] | None = None,
    ) -> None:
        """Creates the component and validates the thresholds.

        Args:
          evaluation: ModelEvaluation created with `components.model_gate.eval_config`.
          examples: the evaluated Examples.
          model: the evaluated Model.
          thresholds: JSON of `components.model_gate.thresholds.Thresholds`.
          baseline_model: the Evaluator's baseline; the channel may be empty.

        Raises:
          ThresholdsError: if the thresholds are malformed, incomplete or out of range.
        """
        Thresholds.from_json(thresholds)
        super().__init__(
            ModelGateSpec(
                evaluation=evaluation,
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                thresholds=thresholds,
                blessing=Channel(type=standard_artifacts.ModelBlessing),
            )
        )
