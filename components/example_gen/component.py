"""The interface of the ExampleGen component."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.example_gen import sources
from components.example_gen.executor import Executor


class ImageExampleGenSpec(component_spec.ComponentSpec):
    """Parameters and output of `ImageExampleGen`."""

    PARAMETERS = {
        "source": component_spec.ExecutionParameter(type=str),
        "data_dir": component_spec.ExecutionParameter(type=str),
        "limit": component_spec.ExecutionParameter(type=int),
        "data_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """Ingests the data set into the splits train, validation (stratified) and test.

    The output `examples` contains tf.Examples with the raw features of `models.features`. Custom
    properties of the artifact: `source`; `count_train`, `count_validation` and `count_test`;
    `label_counts`, JSON of the form {split: {label: count}}; `fingerprint`, a SHA-256 (hex) that
    depends on every pixel, label and split, and on the order of the examples.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, source: str, data_dir: str = "", limit: int = 0, data_version: str = ""
    ) -> None:
        """Creates the component.

        Args:
          source: "tfds", or "bundled" for the bundled sample.
          data_dir: TFDS data directory; "" selects TFDS's default. Data is downloaded unless it is
            already prepared there.
          limit: approximate total number of images, taken from the start of each class; 0 keeps
            all.
          data_version: arbitrary text that affects only the cache key. Change it when the contents
            of data_dir change and the cache can't detect it, as on Kubeflow Pipelines.

        Raises:
          ValueError: if the source is unknown or the limit is negative.
        """
        if source not in (sources.TFDS, sources.BUNDLED):
            raise ValueError(f"source must be tfds or bundled, received {source!r}")
        if limit < 0:
            raise ValueError(f"limit must be 0 (all) or more, received {limit}")
        super().__init__(
            spec=ImageExampleGenSpec(
                source=source,
                data_dir=data_dir,
                limit=limit,
                data_version=data_version,
                examples=channel.Channel(type=standard_artifacts.Examples),
            )
        )
