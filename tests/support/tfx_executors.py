"""Runs TFX executors on artifacts in a directory, without an orchestrator."""

from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact

from pipeline.settings import make_settings

BEAM_ARGS = make_settings().beam_args


def run_executor(
    executor_class: type[BaseExecutor],
    directory: Path,
    inputs: dict[str, Artifact],
    outputs: dict[str, Artifact],
    parameters: dict[str, Any],
) -> None:
    """Runs an executor with one artifact for each input and output.

    Args:
      executor_class: class of the executor.
      directory: directory for outputs, each in a subdirectory with its name, and temporary files.
      inputs: existing artifacts, by name.
      outputs: new artifacts, by name. This function sets their URIs.
      parameters: the executor's `exec_properties`.
    """
    for name, artifact in outputs.items():
        artifact.uri = str(directory / name)
    context: dict[str, Any] = {"tmp_dir": str(directory / "tmp"), "unique_id": "1"}
    if issubclass(executor_class, BaseBeamExecutor):
        # TFX appends to this list.
        context["beam_pipeline_args"] = list(BEAM_ARGS)
    executor_class(executor_class.Context(**context)).Do(
        {name: [artifact] for name, artifact in inputs.items()},
        {name: [artifact] for name, artifact in outputs.items()},
        parameters,
    )
