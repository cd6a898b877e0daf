"""Executors for the tests of the entrypoint."""

import json
import os
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact

Artifacts = dict[str, list[Artifact]]


class Reporter(BaseExecutor):
    """Writes its arguments to the output `evaluation` and sets metadata of several types."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Any) -> None:
        (evaluation,) = output_dict["evaluation"]
        report = {
            "inputs": {
                name: [[artifact.type_name, artifact.id, artifact.uri] for artifact in listed]
                for name, listed in input_dict.items()
            },
            "parameters": exec_properties,
            "tmp": self._get_tmp_dir(),
            "extra_flags": self._extra_flags,
            "gpu_growth": os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH"),
            "span": [artifact.span for artifact in input_dict.get("examples", [])],
        }
        (Path(evaluation.uri) / "report.json").write_text(json.dumps(report))
        evaluation.set_int_custom_property("count", 3)
        evaluation.set_string_custom_property("where", evaluation.uri)
        evaluation.mlmd_artifact.custom_properties["nothing"].SetInParent()


class BeamReporter(BaseBeamExecutor):
    """Writes its Beam pipeline arguments to the output `evaluation`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Any) -> None:
        (evaluation,) = output_dict["evaluation"]
        (Path(evaluation.uri) / "report.json").write_text(json.dumps(self._beam_pipeline_args))


class ValueWriter(BaseExecutor):
    """Writes the value artifact `count`, which is also an output parameter."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Any) -> None:
        (count,) = output_dict["count"]
        assert Path(count.uri).is_file()
        count.write(41)


class Failure(BaseExecutor):
    """Raises an error with a line break in its message."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Any) -> None:
        raise ValueError("it is\nbroken")
