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
        "hyperparameters": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
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

    def __init__(  # noqa: PLR0913 - one parameter for each input
        self,
        *,
        model: BaseChannel[Any],
        model_run: BaseChannel[Any],
        blessing: BaseChannel[Any],
        examples: BaseChannel[Any],
        serving_dir: str,
        model_name: str,
        hyperparameters: str = "{}",
    ) -> None:
        """Validates the destination immediately.

        Args:
          model: the Model to push.
          model_run: the Trainer's output with the training history, which the manifest describes.
          blessing: ModelGate's output for this model.
          examples: the examples that the model was trained on. The split `test` is used for the
            smoke check, and ImageExampleGen's custom properties are copied to the manifest.
          serving_dir: local directory that contains one subdirectory per model.
          model_name: name of the model's subdirectory.
          hyperparameters: JSON object, recorded in the manifest.

        Raises:
          PushError: if serving_dir is a URL, or model_name is not a valid directory name.
        """
        model_directory(serving_dir, model_name)
        super().__init__(
            PusherSpec(
                model=model,
                model_run=model_run,
                blessing=blessing,
                examples=examples,
                serving_dir=serving_dir,
                model_name=model_name,
                hyperparameters=hyperparameters,
                pushed_model=Channel(type=standard_artifacts.PushedModel),
            )
        )
