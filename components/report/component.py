"""The component between the gate and the Pusher that reports the run."""

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
    """Makes a page about data, training, model and verdict, whether blessed or not.

    Make the Pusher wait for it (`pusher.add_upstream_node(report)`): a Pusher that rejects a model
    ends the run, which is when the report matters most. Sections that fail to render are marked
    and don't block the push. Only a missing input or a page that can't be written is an error.
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
        """Makes the component.

        Args:
          examples: with the splits `train` and `test`, and ImageExampleGen's properties.
          model: the Model that the gate judged.
          model_run: of the Trainer, with the training history.
          blessing: of ModelGate.
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
