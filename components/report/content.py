"""The content of a report: `report.json`, from which the page is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError

from components.common.provenance import ArtifactRecord, Data, Git
from components.model_gate.rules import Verdict
from models.validation import Frozen, problems

REPORT_PAGE = "report.html"
REPORT_CONTENT = "report.json"


class ReportError(Exception):
    """There is no report, or it can't be read."""


class Bin(Frozen):
    """Predictions with a confidence in (lower, upper]; the means are None if there are none."""

    lower: float
    upper: float
    examples: int
    confidence: float | None
    accuracy: float | None


class Calibration(Frozen):
    """How well confidences agree with accuracy.

    Attributes:
      bins: of equal width, from 0 to 1.
      expected_error: the expected calibration error; None without valid predictions.
    """

    bins: tuple[Bin, ...]
    expected_error: float | None


class Prediction(Frozen):
    """The model's prediction on one example.

    Attributes:
      index: of the example in the test split, from 0.
      label: of the example.
      predicted: the most probable label; None if the prediction is invalid, such as NaN.
      confidence: probability of `predicted`.
      second: the second most probable label.
      second_confidence: probability of `second`.
      picture: name of a PNG file.
    """

    index: int
    label: int
    predicted: int | None
    confidence: float | None
    second: int | None
    second_confidence: float | None
    picture: str


class Predictions(Frozen):
    """The model's predictions on the test split; the verdict has its metrics.

    Attributes:
      examples: how many there are.
      correct: how many were classified correctly.
      calibration: of the valid predictions.
      samples: the first examples.
      mistakes: the wrong predictions with the highest confidence, in descending order.
    """

    examples: int
    correct: int
    calibration: Calibration
    samples: tuple[Prediction, ...]
    mistakes: tuple[Prediction, ...]

    @property
    def wrong(self) -> int:
        """Examples that were not classified correctly."""
        return self.examples - self.correct


class Layer(Frozen):
    """A layer of the network; the shape of its output, without the batch, if there is one."""

    name: str
    shape: tuple[int | None, ...] | None
    parameters: int


class Training(Frozen):
    """The Trainer's history.

    Attributes:
      best_epoch: from 1; the model has its weights.
      epochs: values by name: `epoch` (from 1), `seconds`, and any metrics. A value is None where it
        was not finite.
      layers: of the network.
      parameters: number of weights.
      hardware: the machine that trained the model.
    """

    model_config = ConfigDict(extra="ignore")

    best_epoch: int
    epochs: tuple[dict[str, int | float | None], ...]
    layers: tuple[Layer, ...]
    parameters: int
    hardware: str

    @property
    def seconds(self) -> float:
        """Duration of all epochs."""
        return sum(epoch.get("seconds") or 0 for epoch in self.epochs)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics of all epochs: accuracy and loss first, else in their order."""
        names = dict.fromkeys(("accuracy", "val_accuracy", "loss", "val_loss"))
        names |= dict.fromkeys(name for epoch in self.epochs for name in epoch)
        given = set().union(*self.epochs) - {"epoch", "seconds"}
        return tuple(name for name in names if name in given)


class Baseline(Frozen):
    """The model that the candidate was compared with."""

    id: str
    uri: str
    accuracy: float | None


class Report(Frozen):
    """Everything known when the gate has decided; parts that failed are None or empty.

    Attributes:
      format: version of this format.
      model: the candidate.
      data: that the model was trained and tested on.
      label_counts: examples by split and label.
      hyperparameters: JSON values by name.
      training: history of the training.
      verdict: of the gate.
      baseline: None if there was none.
      predictions: on the test split.
      warnings: contradictions between the parts.
      problems: errors, by section of the page that could not be made.
      class_pictures: by label, a PNG file with a row of training examples.
      git: the code; None if it is in no Git repository.
      packages: versions by name.
    """

    format: Literal[3] = 3
    model: ArtifactRecord
    data: Data
    label_counts: dict[str, dict[int, int]] = {}
    hyperparameters: dict[str, Any] = {}
    training: Training | None = None
    verdict: Verdict | None = None
    baseline: Baseline | None = None
    predictions: Predictions | None = None
    warnings: tuple[str, ...] = ()
    problems: dict[str, str] = {}
    class_pictures: dict[int, str] = {}
    git: Git | None = None
    packages: dict[str, str] = {}

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Reads what `to_json` wrote.

        Raises:
          ReportError: if the text is something else, with the first of its problems.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ReportError(f"expected a report: {problems(error)[0]}") from error


def read_report(directory: str) -> Report:
    """Reads the report in an artifact's directory.

    Raises:
      OSError: if the file can't be read.
      ReportError: as `Report.from_json`.
    """
    return Report.from_json(Path(directory, REPORT_CONTENT).read_text(encoding="utf-8"))
