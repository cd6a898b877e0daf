"""The interface of PushedBaseline, which replaces the Resolver on Kubeflow Pipelines."""

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
    """Outputs the newest pushed model other than the candidate.

    On Kubeflow Pipelines, an output can't refer to an artifact of another run, so `model` is a copy
    in TFX's directory layout. Its custom properties are the `version` and `model_sha256` of the
    release. If no release qualifies, the property `absent` is 1, and the runner must pass an empty
    list to downstream components.
    """

    SPEC_CLASS = PushedBaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, candidate: BaseChannel[Any], serving_dir: str, model_name: str) -> None:
        """Validates the directory immediately.

        Args:
          candidate: the Model to compare with the baseline.
          serving_dir: directory of the Pusher's releases.
          model_name: name of the model's subdirectory.

        Raises:
          PushError: if serving_dir is a URL, or model_name is not a valid directory name.
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
