"""Pushes a blessed model to the serving directory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from components.common import provenance
from components.common.artifacts import (
    artifact_record,
    data_record,
    saved_model_path,
    saved_model_sha256,
)
from components.common.errors import ModelRejectedError, describe_os_error
from components.common.roles import ByRole
from components.model_gate.rules import VERDICT_FILE, Verdict, VerdictError, read_verdict
from components.pusher import smoke_check
from components.releases.manifest import ReleaseFacts
from components.releases.store import ReleaseStore, WithdrawnError, model_directory
from components.releases.writing import Pushed

TEST_SPLIT = "test"
SMOKE_EXAMPLES = 16

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of Pusher."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Pushes the model.

        Args:
          input_dict: model, blessing and examples.
          output_dict: pushed_model.
          exec_properties: serving_dir and model_name.

        Raises:
          ModelRejectedError: if the gate did not bless the model, blessed another one, or a
            rollback withdrew it.
          PushError: if the model can't be served or written.
        """
        inputs = {
            role: artifact_utils.get_single_instance(input_dict[role])
            for role in ("model", "blessing", "examples")
        }
        model_name = exec_properties["model_name"]
        store = ReleaseStore(model_directory(exec_properties["serving_dir"], model_name))
        verdict = _approval(inputs["blessing"], inputs["model"])
        examples = smoke_check.read_examples(
            artifact_utils.get_split_uri([inputs["examples"]], TEST_SPLIT), SMOKE_EXAMPLES
        )
        try:
            pushed = store.push(
                saved_model_path(inputs["model"]),
                _facts(model_name, verdict, inputs),
                check=lambda staging: smoke_check.check_model(staging, examples),
            )
        except WithdrawnError as error:
            raise ModelRejectedError(str(error)) from error
        _record(artifact_utils.get_single_instance(output_dict["pushed_model"]), pushed)
        _log.info("%s: %s", "Up to date" if pushed.up_to_date else "Pushed", pushed.path)


def _approval(blessing: Artifact, model: Artifact) -> Verdict:
    """Reads the verdict; raises ModelRejectedError unless it blesses this very model."""
    try:
        verdict = read_verdict(blessing.uri)
    except OSError as error:
        raise ModelRejectedError(
            f"the gate's verdict can't be read: {describe_os_error(error)}. Nothing was pushed."
        ) from error
    except VerdictError as error:
        raise ModelRejectedError(
            f"the gate's verdict can't be read: {error} Nothing was pushed."
        ) from error
    if not verdict.blessed:
        raise ModelRejectedError(f"{verdict.reason}. Nothing was pushed.")
    property_value = blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
    if property_value != constants.BLESSED_VALUE:
        raise ModelRejectedError(
            f"{VERDICT_FILE} blesses the model, but ML Metadata doesn't. Nothing was pushed."
        )
    received = saved_model_sha256(model)
    if received != verdict.model_sha256:
        raise ModelRejectedError(
            f"the gate judged the model with SHA-256 {verdict.model_sha256}, and the one in "
            f"{model.uri} has {received}. Nothing was pushed. Run the pipeline again."
        )
    return verdict


def _facts(model_name: str, verdict: Verdict, inputs: Mapping[str, Artifact]) -> ReleaseFacts:
    return ReleaseFacts(
        model=model_name,
        metrics=verdict.metrics,
        checks=verdict.checks,
        data=data_record(inputs["examples"]),
        git=provenance.git_state(),
        packages=provenance.package_versions(),
        ml_metadata={role: artifact_record(artifact) for role, artifact in inputs.items()},
    )


def _record(artifact: Artifact, pushed: Pushed) -> None:
    artifact.set_int_custom_property("pushed", int(not pushed.up_to_date))
    artifact.set_int_custom_property("up_to_date", int(pushed.up_to_date))
    artifact.set_string_custom_property("pushed_destination", str(pushed.path))
    artifact.set_string_custom_property("pushed_version", str(pushed.version))
