"""The interface of the Pusher component."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.pusher.executor import Executor
from components.releases.store import model_directory


class PusherSpec(ComponentSpec):
    """Interface of Pusher."""

    PARAMETERS = {
        "serving_dir": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Pushes a blessed model to `<serving_dir>/<model_name>/<version>/`.

    Unlike the stock Pusher, it fails if the model is not blessed. Releases are atomic, durable and
    verified, and include a manifest. Pushing is idempotent: a model that is already the newest
    version is not pushed again. The output `pushed_model` has the custom properties `pushed` (1 if
    this run pushed the model, else 0), `up_to_date` (the opposite), `pushed_destination` (path of
    the version's directory) and `pushed_version`.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: BaseChannel[Any],
        blessing: BaseChannel[Any],
        examples: BaseChannel[Any],
        serving_dir: str,
        model_name: str,
    ) -> None:
        """Validates the destination immediately.

        Args:
          model: the Model to push.
          blessing: ModelGate's output for this model.
          examples: the examples that the model was trained on. The split `test` is used for the
            smoke check, and ImageExampleGen's custom properties are copied to the manifest.
          serving_dir: local directory that contains one subdirectory per model.
          model_name: name of the model's subdirectory.

        Raises:
          PushError: if serving_dir is a URL, or model_name is not a valid directory name.
        """
        model_directory(serving_dir, model_name)
        super().__init__(
            PusherSpec(
                model=model,
                blessing=blessing,
                examples=examples,
                serving_dir=serving_dir,
                model_name=model_name,
                pushed_model=Channel(type=standard_artifacts.PushedModel),
            )
        )
