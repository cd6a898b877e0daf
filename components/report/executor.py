"""Makes a report: artifacts in, page out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from components.common import provenance
from components.common.artifacts import artifact_record, data_record, saved_model_path
from components.model_gate.executor import VERDICT_FILE
from components.model_gate.rules import Verdict
from components.report.content import (
    REPORT_CONTENT,
    REPORT_PAGE,
    Answers,
    Baseline,
    Figure,
    Report,
    Training,
)

EXAMPLES = "examples"
MODEL = "model"
MODEL_RUN = "model_run"
BLESSING = "blessing"
REPORT = "report"
HYPERPARAMETERS = "hyperparameters"
HISTORY_FILE = "history.json"
TRAIN_SPLIT = "train"
TEST_SPLIT = "test"
CLASS_SAMPLES = 10

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Executor(base_executor.BaseExecutor):
    """Executor of RunReport."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the page, its pictures and its numbers.

        Args:
          input_dict: examples, model, model_run and blessing.
          output_dict: report.
          exec_properties: hyperparameters, as JSON.
        """
        inputs = {
            role: artifact_utils.get_single_instance(input_dict[role])
            for role in (EXAMPLES, MODEL, MODEL_RUN, BLESSING)
        }
        directory = Path(artifact_utils.get_single_uri(output_dict[REPORT]))
        directory.mkdir(parents=True, exist_ok=True)
        report = make_report(inputs, json.loads(exec_properties[HYPERPARAMETERS]), directory)
        (directory / REPORT_CONTENT).write_text(report.to_json(), encoding="utf-8")
        (directory / REPORT_PAGE).write_text(_render(report, directory), encoding="utf-8")
        _log.info("Report: %s", directory / REPORT_PAGE)


class _Sections:
    """Makes the parts of a report that may fail, and remembers why they did."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def attempt(self, section: str, make: Callable[[], _T]) -> _T | None:
        """What `make` returns; None if it raises anything."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - the rest is wanted all the more
            _log.exception("The report's section %s could not be made", section)
            lines = str(error).strip().splitlines() or [""]
            self.problems[section] = f"{type(error).__name__}: {lines[0][:300]}"
            return None


def make_report(
    inputs: Mapping[str, Artifact], hyperparameters: Mapping[str, Any], directory: Path
) -> Report:
    """Computes and draws all but the page; what can't be made is among the report's problems.

    Args:
      inputs: artifacts by role.
      hyperparameters: to be shown.
      directory: for the pictures.
    """
    sections = _Sections()
    examples, model, blessing = (inputs[role] for role in (EXAMPLES, MODEL, BLESSING))
    verdict = sections.attempt("verdict", lambda: _verdict(blessing))
    training = sections.attempt("training", lambda: _training(inputs[MODEL_RUN]))
    counts = sections.attempt("data", lambda: _label_counts(examples)) or {}
    answers = sections.attempt("answers", lambda: _answers(model, examples, directory))
    classes = sections.attempt("classes", lambda: _class_pictures(examples, directory)) or {}
    figures = _draw(sections, _Drawable(training, counts, answers), directory)
    return Report(
        model=artifact_record(model),
        data=data_record(examples),
        label_counts=counts,
        hyperparameters=dict(hyperparameters),
        training=training,
        verdict=verdict,
        baseline=_baseline(blessing, verdict),
        answers=answers,
        warnings=_contradictions(verdict, answers),
        problems=sections.problems,
        class_pictures=classes,
        figures=figures,
        git=provenance.git_state(),
        packages=provenance.package_versions(),
    )


def _verdict(blessing: Artifact) -> Verdict:
    return Verdict.from_json((Path(blessing.uri) / VERDICT_FILE).read_text(encoding="utf-8"))


def _training(model_run: Artifact) -> Training:
    path = Path(model_run.uri) / HISTORY_FILE
    return Training.model_validate_json(path.read_text(encoding="utf-8"))


def _label_counts(examples: Artifact) -> dict[str, dict[int, int]]:
    by_split = json.loads(examples.get_string_custom_property("label_counts"))
    return {
        split: {int(label): int(count) for label, count in by_label.items()}
        for split, by_label in by_split.items()
    }


def _answers(model: Artifact, examples: Artifact, directory: Path) -> Answers:
    from components.report import asking, pictures, predictions

    asked = asking.ask_model(
        saved_model_path(model), artifact_utils.get_split_uri([examples], TEST_SPLIT)
    )
    predicted = predictions.predicted_digits(asked.probabilities)
    matrix, unanswered = predictions.confusion(asked.labels, predicted)
    return Answers(
        confusion_matrix=tuple(map(tuple, matrix.tolist())),
        unanswered=tuple(unanswered.tolist()),
        per_class=predictions.per_class(asked.labels, predicted),
        calibration=predictions.calibration(asked.labels, asked.probabilities),
        samples=pictures.write_answers(asked.samples, "sample", directory),
        mistakes=pictures.write_answers(asked.mistakes, "mistake", directory),
    )


def _class_pictures(examples: Artifact, directory: Path) -> dict[int, str]:
    from components.report import asking, pictures

    split = artifact_utils.get_split_uri([examples], TRAIN_SPLIT)
    return pictures.write_classes(asking.first_of_each_class(split, CLASS_SAMPLES), directory)


class _Drawable(NamedTuple):
    """What there are plots of."""

    training: Training | None
    label_counts: dict[str, dict[int, int]]
    answers: Answers | None


def _draw(sections: _Sections, drawable: _Drawable, directory: Path) -> dict[str, Figure]:
    from components.report import figures

    training, counts, answers = drawable
    drawings: dict[str, Callable[[], dict[str, Figure]]] = {}
    if training and training.epochs:
        drawings["training"] = lambda: figures.draw_training(training, directory)
    if counts:
        drawings["data"] = lambda: figures.draw_distribution(counts, directory)
    if answers:
        matrix, calibration = answers.confusion_matrix, answers.calibration
        drawings["confusion"] = lambda: figures.draw_confusion(matrix, directory)
        drawings["calibration"] = lambda: figures.draw_reliability(calibration, directory)
    drawn: dict[str, Figure] = {}
    for section, draw in drawings.items():
        drawn |= sections.attempt(section, draw) or {}
    return drawn


def _contradictions(verdict: Verdict | None, answers: Answers | None) -> tuple[str, ...]:
    """The gate and the report must count the same, each from its own predictions."""
    if verdict is None or answers is None or not verdict.confusion_matrix:
        return ()
    if (verdict.confusion_matrix, verdict.unanswered) == (
        answers.confusion_matrix,
        answers.unanswered,
    ):
        return ()
    judged = verdict.metrics.get("correct")
    counted = answers.examples - answers.wrong
    warning = (
        f"The gate judged other answers than the model gives now: it counted {judged} right of "
        f"{verdict.metrics.get('examples')}, and this report {counted} of {answers.examples}."
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


def _render(report: Report, directory: Path) -> str:
    from components.report import page

    return page.render(report, directory)
