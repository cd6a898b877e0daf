"""The interface of the ImageValidator component."""

from __future__ import annotations

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.image_validator.executor import Executor


class ImageValidatorSpec(component_spec.ComponentSpec):
    """Inputs and output of `ImageValidator`."""

    PARAMETERS: dict[str, component_spec.ExecutionParameter] = {}
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
    }


class ImageValidator(base_beam_component.BaseBeamComponent):
    """Finds what ExampleValidator can't see in statistics of single features.

    It finds identical images within and across splits, and compares the sizes of splits and
    classes and the images of each class with the reviewed reference in the schema. Like
    ExampleValidator, it only records anomalies, in the same format; DataGate stops the run. Each
    split's directory also has a PNG file with the worst images of each anomaly.
    """

    SPEC_CLASS = ImageValidatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: channel.BaseChannel, schema: channel.BaseChannel) -> None:
        """Creates the component.

        Args:
          examples: ImageExampleGen's output.
          schema: a reviewed schema with a reference, of type Schema.
        """
        anomalies = channel.Channel(type=standard_artifacts.ExampleAnomalies)
        super().__init__(
            spec=ImageValidatorSpec(examples=examples, schema=schema, anomalies=anomalies)
        )
