"""The interface of the RunReport component."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.report.artifact import HtmlReport
from components.report.executor import Executor


class RunReportSpec(ComponentSpec):
    """Interface of RunReport."""

    PARAMETERS = {"hyperparameters": ExecutionParameter(type=str)}
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    OUTPUTS = {"report": ChannelParameter(type=HtmlReport)}


class RunReport(base_component.BaseComponent):
    """Creates a page about data, training, model and verdict, for blessed and rejected models.

    The Pusher must run after this component (`pusher.add_upstream_node(report)`), because it ends
    the run if the model was rejected. Sections that fail to render are marked and don't block the
    push. The component fails only if an input is missing or the page can't be written.
    """

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: BaseChannel[Any],
        model: BaseChannel[Any],
        model_run: BaseChannel[Any],
        blessing: BaseChannel[Any],
        hyperparameters: str = "{}",
    ) -> None:
        """Creates the component.

        Args:
          examples: ImageExampleGen's output, with the splits `train` and `test`.
          model: the Model that the gate evaluated.
          model_run: the Trainer's output with the training history.
          blessing: ModelGate's output.
          hyperparameters: JSON object.
        """
        super().__init__(
            RunReportSpec(
                examples=examples,
                model=model,
                model_run=model_run,
                blessing=blessing,
                hyperparameters=hyperparameters,
                report=Channel(type=HtmlReport),
            )
        )
