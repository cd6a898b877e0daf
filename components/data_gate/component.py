"""DataGate's interface."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.data_gate.executor import Executor


class DataGateSpec(component_spec.ComponentSpec):
    """Input and output of `DataGate`."""

    PARAMETERS: dict[str, component_spec.ExecutionParameter] = {}
    INPUTS = {
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
    }
    OUTPUTS = {
        "verdict": component_spec.ChannelParameter(type=standard_artifacts.JsonValue),
    }


class DataGate(base_component.BaseComponent):
    """Fails, and so stops the run, when ExampleValidator found anything: that only records it.

    Its output `verdict` is there only when the data passed.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, anomalies: channel.BaseChannel) -> None:
        """Makes the component.

        Args:
          anomalies: output `anomalies` of ExampleValidator, of type ExampleAnomalies.
        """
        verdict = channel.Channel(type=standard_artifacts.JsonValue)
        super().__init__(spec=DataGateSpec(anomalies=anomalies, verdict=verdict))
