"""The executor of LiveBaseline: copies the selected release."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import Artifact, artifact_utils

from components.baseline.driver import SELECTION
from components.baseline.selection import Selection, select_releases, store_of
from components.common.artifacts import saved_model_path, saved_model_sha256
from components.common.properties import ABSENT, BEST_RELEASE
from components.common.roles import ByRole
from components.common.smoke_check import UnusableModelError, check_predictions, read_examples
from components.example_gen.splits import TEST_SPLIT
from components.releases.manifest import RELEASE_FILE

_log = logging.getLogger(__name__)


class BaselineError(Exception):
    """The baseline can't be compared with. The message says how to withdraw it."""


class Executor(base_executor.BaseExecutor):
    """Executor of LiveBaseline."""

    def Do(
        self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]
    ) -> execution_result_pb2.ExecutorOutput | None:
        """Copies the baseline, or marks the output as absent if there is none.

        Args:
          input_dict: candidate and examples.
          output_dict: model.
          exec_properties: serving_dir and model_name; the driver's selection, if there was one.

        Returns:
          Without a baseline, an output without artifacts. TFX's local orchestrator uses it;
          otherwise the output would contain the placeholder.

        Raises:
          BaselineError: if the release changed while it was copied, or can't be run.
          ModelRejectedError: if the candidate contains a symbolic link.
        """
        model = artifact_utils.get_single_instance(output_dict["model"])
        store = store_of(exec_properties)
        selected = exec_properties.get(SELECTION)
        selection = (
            Selection.model_validate_json(selected)
            if selected
            else select_releases(input_dict, store)
        )
        if selection.version is None:
            _mark_absent(model)
            _log.info("No baseline: %s contains no other release", store.model_dir)
            return _without_artifacts("model")
        path = store.model_dir / str(selection.version)
        _copy(path, model, selection)
        _check(path, model, artifact_utils.get_single_instance(input_dict["examples"]))
        _log.info("Baseline: %s", path)
        return None


def _copy(path: Path, model: Artifact, selection: Selection) -> None:
    shutil.copytree(
        path,
        saved_model_path(model),
        ignore=shutil.ignore_patterns(RELEASE_FILE),
        copy_function=shutil.copyfile,
        dirs_exist_ok=True,
    )
    if saved_model_sha256(model) != selection.model_sha256:
        raise BaselineError(f"{path} changed while it was copied. Run the pipeline again.")
    model.set_string_custom_property("version", str(selection.version))
    model.set_string_custom_property("model_sha256", selection.model_sha256)
    if selection.best is not None:
        model.set_string_custom_property(BEST_RELEASE, selection.best.to_json())


def _check(path: Path, model: Artifact, examples: Artifact) -> None:
    """Runs the copy, because the error of a failed evaluation would not name the baseline."""
    try:
        records = read_examples(artifact_utils.get_split_uri([examples], TEST_SPLIT))
        check_predictions(saved_model_path(model), records)
    except UnusableModelError as error:
        raise BaselineError(
            f"the live release {path} can't be evaluated: {error}. Withdraw it with "
            f"`mnist-pipeline releases rollback --serving-dir {path.parents[1]}`, or delete its "
            "directory if it is the only release. Then run the pipeline again."
        ) from error


def _without_artifacts(name: str) -> execution_result_pb2.ExecutorOutput:
    output = execution_result_pb2.ExecutorOutput()
    output.output_artifacts[name].SetInParent()
    return output


def _mark_absent(model: Artifact) -> None:
    """Sets the property and writes a file, because object stores don't keep empty directories."""
    model.set_int_custom_property(ABSENT, 1)
    directory = Path(model.uri)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ABSENT).write_text("No baseline: no other model has been pushed.\n")
