"""Runs a TFX executor on an adapted executor input."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.components.evaluator import constants
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as tfx_utils
from tfx.orchestration.portable import outputs_utils
from tfx.types import Artifact
from tfx.utils import import_utils

from mnist_kubeflow.entrypoint.contract import Json, output_file

_Artifacts = Mapping[str, list[Artifact]]

_MODEL_IDS = (
    constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY,
    constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY,
)


def execute(
    executor_class_path: str, executor_input: Json, inputs_spec: Json, beam_args: Sequence[str]
) -> Json:
    """Runs an executor.

    Follows `_run_executor` in kubeflow_v2_run_executor.py, with three differences:

    - The directories of outputs and the files of value artifacts are created here. TFX's executors
      expect them, but KFP's launcher creates only the parent directories (launcher_v2.go,
      prepareOutputFolders).
    - The ids of input artifacts are their ids in ML Metadata, which KFP's launcher passes as names
      (converter.go, toRuntimeArtifact). Vertex AI's names are not numbers, and TFX uses their
      hashes as ids. Blessings then record the names instead, because a hash can't be looked up, and
      JSON numbers, which are doubles, would round it.
    - The output file is not read for the output of a TFX driver. The compiler rejects pipelines
      that need a driver, so an existing file is from an earlier attempt.

    Args:
      executor_class_path: import path of a BaseExecutor.
      executor_input: an ExecutorInput from `adapt_input`.
      inputs_spec: the component's ComponentInputsSpec, which has the types of the parameters.
      beam_args: pipeline options for a Beam executor; extra flags for other executors.

    Returns:
      The ExecutorOutput, with local paths.
    """
    message = json_format.ParseDict(
        executor_input, pipeline_spec_pb2.ExecutorInput(), ignore_unknown_fields=True
    )
    spec = json_format.ParseDict(
        inputs_spec, pipeline_spec_pb2.ComponentInputsSpec(), ignore_unknown_fields=True
    )
    names: dict[int, str] = {}
    inputs = tfx_utils.parse_raw_artifact_dict(message.inputs.artifacts, names)
    _restore_ids(inputs, names)
    outputs = tfx_utils.parse_raw_artifact_dict(message.outputs.artifacts, names)
    parameters = tfx_utils.parse_execution_properties(
        message.inputs.parameter_values, message.inputs.parameters, spec
    )
    outputs_utils.make_output_dirs(outputs)
    executor = _make_executor(executor_class_path, output_file(executor_input), beam_args)
    executor.Do(inputs, outputs, parameters)
    _name_models(outputs, names)
    outputs_utils.tag_output_artifacts_with_version(outputs)
    return {
        "artifacts": {
            name: json_format.MessageToDict(listed)
            for name, listed in tfx_utils.translate_executor_output(outputs, names).items()
        },
        "parameterValues": {name: outputs[name][0].read() for name in message.outputs.parameters},
    }


def _restore_ids(artifacts: _Artifacts, names: dict[int, str]) -> None:
    for listed in artifacts.values():
        for artifact in listed:
            name = names.get(artifact.id, "")
            if name.isdecimal():
                artifact.id = int(name)
                names[artifact.id] = name


def _name_models(artifacts: _Artifacts, names: dict[int, str]) -> None:
    """Replaces hashes by names in the metadata of a blessing.

    Follows `refactor_model_blessing` in kubeflow_v2_entrypoint_utils.py, which also replaces ids.
    """
    for listed in artifacts.values():
        for artifact in listed:
            for key in _MODEL_IDS:
                name = names.get(artifact.get_int_custom_property(key), "")
                if name and not name.isdecimal():
                    artifact.set_string_custom_property(key, name)


def _make_executor(class_path: str, path: str, beam_args: Sequence[str]) -> BaseExecutor:
    executor_class = import_utils.import_class_by_path(class_path)
    task_root = os.path.dirname(path)
    context: dict[str, Any] = {
        "tmp_dir": os.path.join(task_root, ".temp"),
        "unique_id": os.path.basename(task_root),
    }
    if issubclass(executor_class, BaseBeamExecutor):
        context["beam_pipeline_args"] = list(beam_args)
    else:
        context["extra_flags"] = list(beam_args)
    return executor_class(executor_class.Context(**context))
