"""The executor of ModelGate: reads the evaluation and writes the blessing and the verdict."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from components.common.artifacts import saved_model_sha256
from components.common.roles import ByRole
from components.model_gate.evaluation import EvidenceError, read_evaluation
from components.model_gate.rules import VERDICT_FILE, Verdict, decide, reject
from components.model_gate.thresholds import Thresholds
from models.features import CLASS_NAMES

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of ModelGate."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Decides whether to bless the model.

        Args:
          input_dict: evaluation, model, and optionally baseline_model, which may be empty.
          output_dict: blessing.
          exec_properties: thresholds, as JSON.
        """
        model = artifact_utils.get_single_instance(input_dict["model"])
        baselines = input_dict.get("baseline_model") or []
        verdict = _decide(
            artifact_utils.get_single_uri(input_dict["evaluation"]),
            bool(baselines),
            Thresholds.from_json(exec_properties["thresholds"]),
            saved_model_sha256(model),
        )
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        _describe(blessing, model, baselines)
        _write(blessing, verdict)
        _log.info("Blessed: %s. %s", verdict.blessed, verdict.reason)


def _decide(evaluation: str, has_baseline: bool, thresholds: Thresholds, model: str) -> Verdict:
    try:
        candidate, baseline = read_evaluation(evaluation, has_baseline, CLASS_NAMES)
    except EvidenceError as error:
        return reject(str(error), model)
    return decide(candidate, baseline, thresholds, model)


def _describe(blessing: Artifact, model: Artifact, baselines: list[Artifact]) -> None:
    """Sets the stock Evaluator's custom properties, except the outcome."""
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    for baseline in baselines:
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri
        )
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id
        )


def _write(blessing: Artifact, verdict: Verdict) -> None:
    directory = Path(blessing.uri)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / VERDICT_FILE).write_text(verdict.to_json(), encoding="utf-8")
    marker = constants.BLESSED_FILE_NAME if verdict.blessed else constants.NOT_BLESSED_FILE_NAME
    (directory / marker).touch()
    value = constants.BLESSED_VALUE if verdict.blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
