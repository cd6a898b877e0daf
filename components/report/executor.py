"""The executor of RunReport: writes the report of a run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from components.common import provenance
from components.common.artifacts import artifact_record, data_record, saved_model_path
from components.common.provenance import Data
from components.common.roles import ByRole
from components.example_gen.splits import TEST_SPLIT
from components.model_gate.rules import Verdict, read_verdict
from components.report.content import (
    REPORT_CONTENT,
    REPORT_PAGE,
    Baseline,
    Predictions,
    Report,
    Training,
)
from components.report.inference import first_of_each_class, run_inference
from components.report.page import render
from components.report.pictures import write_augmented, write_classes, write_predictions
from components.report.predictions import calibration
from models.progress import AUGMENTED_FILE, HISTORY_FILE

TRAIN_SPLIT = "train"
CLASS_SAMPLES = 10

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Executor(base_executor.BaseExecutor):
    """Executor of RunReport."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Writes the page, its images and `report.json`.

        Args:
          input_dict: examples, model, model_run and blessing.
          output_dict: report.
          exec_properties: hyperparameters, as JSON.
        """
        inputs = {
            role: artifact_utils.get_single_instance(input_dict[role])
            for role in ("examples", "model", "model_run", "blessing")
        }
        directory = Path(artifact_utils.get_single_uri(output_dict["report"]))
        directory.mkdir(parents=True, exist_ok=True)
        report = make_report(inputs, json.loads(exec_properties["hyperparameters"]), directory)
        (directory / REPORT_CONTENT).write_text(report.to_json(), encoding="utf-8")
        (directory / REPORT_PAGE).write_text(render(report, directory), encoding="utf-8")
        _log.info("Report: %s", directory / REPORT_PAGE)


class _Sections:
    """Creates the sections of a report and records the errors of failed ones."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def attempt(self, section: str, make: Callable[[], _T]) -> _T | None:
        """Returns the result of `make`, or None if it raises an exception."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - one failed section must not affect the others
            _log.exception("The report's section %s failed", section)
            lines = str(error).strip().splitlines() or [""]
            self.problems[section] = f"{type(error).__name__}: {lines[0][:300]}"
            return None


def make_report(
    inputs: Mapping[str, Artifact], hyperparameters: Mapping[str, Any], directory: Path
) -> Report:
    """Creates the report's content and images. Failed sections are listed in `problems`.

    Args:
      inputs: artifacts, by role.
      hyperparameters: JSON values, by name.
      directory: target directory of the images.
    """
    sections = _Sections()
    examples, model, blessing = (inputs[role] for role in ("examples", "model", "blessing"))
    data = data_record(examples)
    verdict = sections.attempt("verdict", lambda: read_verdict(blessing.uri))
    training = sections.attempt("training", lambda: _training(inputs["model_run"]))
    counts = sections.attempt("data", lambda: _label_counts(examples)) or {}
    predictions = sections.attempt(
        "predictions", lambda: _predictions(model, examples, data, directory)
    )
    pictures = sections.attempt("classes", lambda: _class_pictures(examples, data, directory))
    augmented = sections.attempt(
        "augmented", lambda: _augmented_picture(inputs["model_run"], data, directory)
    )
    return Report(
        model=artifact_record(model),
        data=data,
        label_counts=counts,
        hyperparameters=dict(hyperparameters),
        training=training,
        verdict=verdict,
        baseline=_baseline(blessing, verdict),
        predictions=predictions,
        warnings=_contradictions(verdict, predictions),
        problems=sections.problems,
        class_pictures=pictures or {},
        augmented_picture=augmented,
        git=provenance.git_state(),
        packages=provenance.package_versions(),
    )


def _training(model_run: Artifact) -> Training:
    path = Path(model_run.uri) / HISTORY_FILE
    return Training.model_validate_json(path.read_text(encoding="utf-8"))


def _label_counts(examples: Artifact) -> dict[str, dict[int, int]]:
    by_split = json.loads(examples.get_string_custom_property("label_counts"))
    return {
        split: {int(label): int(count) for label, count in by_label.items()}
        for split, by_label in by_split.items()
    }


def _predictions(model: Artifact, examples: Artifact, data: Data, directory: Path) -> Predictions:
    split = artifact_utils.get_split_uri([examples], TEST_SPLIT)
    inferred = run_inference(saved_model_path(model), split, data.image_shape)
    labels, predicted, confidences, samples, mistakes = inferred
    return Predictions(
        examples=len(labels),
        correct=int((labels == predicted).sum()),
        calibration=calibration(labels, predicted, confidences),
        samples=write_predictions(samples, "sample", directory),
        mistakes=write_predictions(mistakes, "mistake", directory),
    )


def _class_pictures(examples: Artifact, data: Data, directory: Path) -> dict[int, str]:
    split = artifact_utils.get_split_uri([examples], TRAIN_SPLIT)
    images = first_of_each_class(split, data.image_shape, len(data.class_names), CLASS_SAMPLES)
    return write_classes(images, CLASS_SAMPLES, directory)


def _augmented_picture(model_run: Artifact, data: Data, directory: Path) -> str | None:
    sheet = Path(model_run.uri) / AUGMENTED_FILE
    return write_augmented(sheet, data.image_shape, directory) if sheet.exists() else None


def _contradictions(verdict: Verdict | None, predictions: Predictions | None) -> tuple[str, ...]:
    """Warns if the predictions differ from the gate's evaluation."""
    if verdict is None or predictions is None or not verdict.confusion_matrix:
        return ()
    counted = verdict.metrics["correct"], verdict.metrics["examples"]
    if counted == (predictions.correct, predictions.examples):
        return ()
    warning = (
        f"The predictions differ from the gate's evaluation: {predictions.correct} of "
        f"{predictions.examples} are correct, but the gate counted {counted[0]} of {counted[1]}."
    )
    return (warning,)


def _baseline(blessing: Artifact, verdict: Verdict | None) -> Baseline | None:
    uri = blessing.get_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY)
    if not uri:
        return None
    key = constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY
    number = blessing.get_int_custom_property(key)
    accuracy = verdict.metrics.get("baseline_accuracy") if verdict else None
    return Baseline(
        id=str(number or blessing.get_string_custom_property(key)), uri=uri, accuracy=accuracy
    )
