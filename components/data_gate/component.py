"""The interface of the DataGate component."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.data_gate.executor import Executor


class DataGateSpec(component_spec.ComponentSpec):
    """Inputs and output of `DataGate`."""

    PARAMETERS: dict[str, component_spec.ExecutionParameter] = {}
    INPUTS = {
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "image_anomalies": component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies
        ),
    }
    OUTPUTS = {
        "verdict": component_spec.ChannelParameter(type=standard_artifacts.JsonValue),
    }


class DataGate(base_component.BaseComponent):
    """Fails, and so stops the run, if ExampleValidator or ImageValidator found anomalies.

    Both only record anomalies. The output `verdict` is written only if the data
    passes.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, anomalies: channel.BaseChannel, image_anomalies: channel.BaseChannel
    ) -> None:
        """Creates the component.

        Args:
          anomalies: ExampleValidator's output `anomalies`, of type ExampleAnomalies.
          image_anomalies: ImageValidator's output `anomalies`, of type ExampleAnomalies.
        """
        verdict = channel.Channel(type=standard_artifacts.JsonValue)
        super().__init__(
            spec=DataGateSpec(anomalies=anomalies, image_anomalies=image_anomalies, verdict=verdict)
        )
