"""The stage that takes the Resolver's place on Kubeflow Pipelines."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.baseline import executor
from components.releases.store import model_directory


class PushedBaselineSpec(ComponentSpec):
    """Interface of PushedBaseline."""

    PARAMETERS = {
        executor.SERVING_DIR: ExecutionParameter(type=str),
        executor.MODEL_NAME: ExecutionParameter(type=str),
    }
    INPUTS = {executor.CANDIDATE: ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS = {executor.MODEL: ChannelParameter(type=standard_artifacts.Model)}


class PushedBaseline(base_component.BaseComponent):
    """Gives the newest pushed model that is not the candidate.

    Kubeflow Pipelines has no Resolver, and a task's output can't point at what another run made, so
    `model` is a copy, in TFX's layout. Its custom properties are `version` and `model_sha256` of
    the release; or `absent`, 1, when there is none: what runs the pipeline then has to give an
    empty list to the stages that take the output.
    """

    SPEC_CLASS = PushedBaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, candidate: BaseChannel[Any], serving_dir: str, model_name: str) -> None:
        """Checks the place's form at once.

        Args:
          candidate: the Model that is to be compared.
          serving_dir: where the Pusher puts its releases.
          model_name: the model's directory there.

        Raises:
          PushError: if serving_dir is a URL, or model_name is not fit for a directory's name.
        """
        model_directory(serving_dir, model_name)
        super().__init__(
            PushedBaselineSpec(
                candidate=candidate,
                serving_dir=serving_dir,
                model_name=model_name,
                model=Channel(type=standard_artifacts.Model),
            )
        )
