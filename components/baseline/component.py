"""The interface of the LiveBaseline component."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.baseline.driver import Driver
from components.baseline.executor import Executor
from components.releases.store import model_directory


class LiveBaselineSpec(ComponentSpec):
    """Interface of LiveBaseline."""

    PARAMETERS = {
        "serving_dir": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
    }
    INPUTS = {
        "candidate": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}


class LiveBaseline(base_component.BaseComponent):
    """Outputs a copy of the live model (`components.baseline.selection.select`).

    The copy has TFX's directory layout. Its custom properties are the `version` and `model_sha256`
    of the release, and `components.common.properties.BEST_RELEASE` with the JSON of the best
    release (`components.model_gate.best_release.BestRelease`), if there is one.

    Without a baseline, a local run has no output. On Kubeflow Pipelines, which requires one, its
    property `absent` is 1, and the runner must pass an empty list to downstream components.
    """

    SPEC_CLASS = LiveBaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        candidate: BaseChannel[Any],
        examples: BaseChannel[Any],
        serving_dir: str,
        model_name: str,
    ) -> None:
        """Validates the directory immediately.

        Args:
          candidate: the Model to compare with the baseline.
          examples: the examples that the candidate was trained on and is evaluated on.
          serving_dir: directory of the Pusher's releases.
          model_name: name of the model's subdirectory.

        Raises:
          PushError: if serving_dir is a URL, or model_name is not a valid directory name.
        """
        model_directory(serving_dir, model_name)
        super().__init__(
            LiveBaselineSpec(
                candidate=candidate,
                examples=examples,
                serving_dir=serving_dir,
                model_name=model_name,
                model=Channel(type=standard_artifacts.Model),
            )
        )
