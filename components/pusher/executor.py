"""The executor of Pusher: pushes a blessed model to the serving directory."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from components.common import provenance
from components.common.artifacts import artifact_record, data_record, saved_model_path
from components.common.errors import ModelRejectedError, describe_os_error
from components.common.roles import ByRole
from components.common.smoke_check import UnusableModelError, check_model, read_examples
from components.example_gen.splits import TEST_SPLIT
from components.model_gate.rules import VERDICT_FILE, Verdict, VerdictError, read_verdict
from components.releases.manifest import ReleaseFacts, Training
from components.releases.store import ReleaseStore, model_directory
from components.releases.writing import Pushed, PushError, RefusedModelError
from models.definition import DATASET
from models.pictures import check_preprocessing
from models.progress import HISTORY_FILE

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Pusher."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Pushes the model.

        Args:
          input_dict: model, model_run, blessing and examples.
          output_dict: pushed_model.
          exec_properties: serving_dir, model_name, and hyperparameters, as JSON.

        Raises:
          ModelRejectedError: if the gate didn't bless this model, or the model was rolled back,
            contains a symbolic link or can't be served.
          PushError: if the model can't be written, or there are no test examples.
        """
        inputs = {
            role: artifact_utils.get_single_instance(input_dict[role])
            for role in ("model", "model_run", "blessing", "examples")
        }
        directory = model_directory(exec_properties["serving_dir"], exec_properties["model_name"])
        store = ReleaseStore(directory)
        verdict = _approval(inputs["blessing"])
        _check_preprocessing()
        examples = read_examples(artifact_utils.get_split_uri([inputs["examples"]], TEST_SPLIT))
        if not examples:
            raise PushError("The smoke check needs at least one test example. Nothing was pushed.")
        try:
            pushed = store.push(
                saved_model_path(inputs["model"]),
                _facts(exec_properties, verdict, inputs),
                verdict.model_sha256,
                check=lambda staging: check_model(staging, examples),
            )
        except UnusableModelError as error:
            raise ModelRejectedError(
                f"the model can't be served: {error}. Nothing was pushed."
            ) from error
        except RefusedModelError as error:
            raise ModelRejectedError(str(error)) from error
        _record(artifact_utils.get_single_instance(output_dict["pushed_model"]), pushed)
        _log.info("%s: %s", "Up to date" if pushed.up_to_date else "Pushed", pushed.path)


def _check_preprocessing() -> None:
    """Checks the picture preprocessing, without which a release can't classify pictures."""
    try:
        check_preprocessing(DATASET.image_shape, DATASET.picture_preprocessing)
    except (ImportError, TypeError) as error:
        raise PushError(f"picture_preprocessing: {error} Nothing was pushed.") from error


def _approval(blessing: Artifact) -> Verdict:
    """Reads the verdict. Raises ModelRejectedError unless it blesses a model."""
    try:
        verdict = read_verdict(blessing.uri)
    except (OSError, VerdictError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else str(error).rstrip(".")
        raise ModelRejectedError(
            f"the gate's verdict can't be read ({reason}). Nothing was pushed. "
            "Run the pipeline again."
        ) from error
    if not verdict.blessed:
        raise ModelRejectedError(f"{verdict.reason}. Nothing was pushed.")
    property_value = blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
    if property_value != constants.BLESSED_VALUE:
        raise ModelRejectedError(
            f"{VERDICT_FILE} blesses the model, but its blessing in ML Metadata doesn't. "
            "Nothing was pushed. Run the pipeline again."
        )
    return verdict


def _facts(
    exec_properties: Mapping[str, Any], verdict: Verdict, inputs: Mapping[str, Artifact]
) -> ReleaseFacts:
    return ReleaseFacts(
        model=exec_properties["model_name"],
        metrics=verdict.metrics,
        checks=verdict.checks,
        data=data_record(inputs["examples"]),
        training=_training(inputs["model_run"], json.loads(exec_properties["hyperparameters"])),
        git=provenance.git_state(),
        packages=provenance.package_versions(),
        ml_metadata={role: artifact_record(artifact) for role, artifact in inputs.items()},
    )


def _training(model_run: Artifact, hyperparameters: Mapping[str, Any]) -> Training | None:
    """Reads the Trainer's history. An unreadable history does not stop the push."""
    path = Path(model_run.uri) / HISTORY_FILE
    try:
        history = json.loads(path.read_text(encoding="utf-8"))
        return Training(
            hyperparameters=dict(hyperparameters),
            epochs=len(history["epochs"]),
            best_epoch=history["best_epoch"],
            precision=history.get("precision"),
            hardware=history["hardware"],
        )
    except (OSError, ValueError, KeyError):
        _log.warning("The manifest can't describe the training", exc_info=True)
        return None


def _record(artifact: Artifact, pushed: Pushed) -> None:
    artifact.set_int_custom_property("pushed", int(not pushed.up_to_date))
    artifact.set_int_custom_property("up_to_date", int(pushed.up_to_date))
    artifact.set_string_custom_property("pushed_destination", str(pushed.path))
    artifact.set_string_custom_property("pushed_version", str(pushed.version))
