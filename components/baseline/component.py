"""The component that replaces the Resolver on Kubeflow Pipelines."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.baseline.executor import Executor
from components.releases.store import model_directory


class PushedBaselineSpec(ComponentSpec):
    """Interface of PushedBaseline."""

    PARAMETERS = {
        "serving_dir": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
    }
    INPUTS = {"candidate": ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}


class PushedBaseline(base_component.BaseComponent):
    """Outputs the newest pushed model that is not the candidate.

    Kubeflow Pipelines has no Resolver, and an output can't point to an artifact of another run, so
    `model` is a copy, in TFX's layout. Its custom properties are `version` and `model_sha256` of
    the release, or `absent`, 1, if there is none: the runner then has to pass an empty list to the
    components that take the output.
    """

    SPEC_CLASS = PushedBaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, candidate: BaseChannel[Any], serving_dir: str, model_name: str) -> None:
        """Validates the directory immediately.

        Args:
          candidate: the Model to compare.
          serving_dir: directory that the Pusher writes its releases to.
          model_name: name of the model's directory there.

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
