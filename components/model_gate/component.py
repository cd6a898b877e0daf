"""The stage between the Evaluator and the Pusher."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.model_gate import executor
from components.model_gate.thresholds import Thresholds


class ModelGateSpec(ComponentSpec):
    """Interface of ModelGate."""

    PARAMETERS = {executor.THRESHOLDS: ExecutionParameter(type=str)}
    INPUTS = {
        executor.EVALUATION: ChannelParameter(type=standard_artifacts.ModelEvaluation),
        executor.MODEL: ChannelParameter(type=standard_artifacts.Model),
        executor.BASELINE_MODEL: ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {executor.BLESSING: ChannelParameter(type=standard_artifacts.ModelBlessing)}


class ModelGate(base_component.BaseComponent):
    """Blesses a model, or doesn't, and writes down why.

    It succeeds either way, so that a report can follow; the Pusher obeys the verdict. Its output
    `blessing` is a ModelBlessing like the stock Evaluator's, with `verdict.json` in it
    (`components.model_gate.rules.Verdict`).
    """

    SPEC_CLASS = ModelGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        evaluation: BaseChannel[Any],
        model: BaseChannel[Any],
        thresholds: str,
        baseline_model: BaseChannel[Any] | None = None,
    ) -> None:
        """Checks the thresholds at once.

        Args:
          evaluation: ModelEvaluation made with `components.model_gate.eval_config`.
          model: the Model that was evaluated.
          thresholds: JSON of `components.model_gate.thresholds.Thresholds`.
          baseline_model: the Model that it was compared with, the same as the Evaluator was given;
            may hold none.

        Raises:
          ThresholdsError: if the thresholds are malformed, incomplete or out of range.
        """
        Thresholds.from_json(thresholds)
        super().__init__(
            ModelGateSpec(
                evaluation=evaluation,
                model=model,
                baseline_model=baseline_model,
                thresholds=thresholds,
                blessing=Channel(type=standard_artifacts.ModelBlessing),
            )
        )
