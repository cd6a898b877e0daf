"""The stage between the gate and the Pusher that shows what was made."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.report import executor
from components.report.artifact import HtmlReport


class RunReportSpec(ComponentSpec):
    """Interface of RunReport."""

    PARAMETERS = {executor.HYPERPARAMETERS: ExecutionParameter(type=str)}
    INPUTS = {
        executor.EXAMPLES: ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: ChannelParameter(type=standard_artifacts.Model),
        executor.MODEL_RUN: ChannelParameter(type=standard_artifacts.ModelRun),
        executor.BLESSING: ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    OUTPUTS = {executor.REPORT: ChannelParameter(type=HtmlReport)}


class RunReport(base_component.BaseComponent):
    """Draws a page about data, training, model and verdict, blessed or not.

    Let the Pusher wait for it (`pusher.add_upstream_node(report)`): one that refuses a model ends
    the run, and just then the report is wanted. It can wait, because what can't be drawn does not
    fail the stage: the page then says so where it would have been. Only an input that is not there
    at all, or a page that can't be written, is an error.
    """

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

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
          examples: of ImageExampleGen, or others with the splits `train` and `test`.
          model: the Model that the gate judged.
          model_run: the Trainer's, with `history.json`.
          blessing: of ModelGate.
          hyperparameters: JSON object of what to show as such.
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
