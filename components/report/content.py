"""The content of a report, stored in `report.json`. The page is rendered from it."""

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
    """The report is missing or can't be read."""


class Bin(Frozen):
    """Predictions with a confidence in (lower, upper]; the means are None in an empty bin."""

    lower: float
    upper: float
    examples: int
    confidence: float | None
    accuracy: float | None


class Calibration(Frozen):
    """Agreement between confidence and accuracy.

    Attributes:
      bins: bins of equal width, from 0 to 1.
      expected_error: the expected calibration error; None without valid predictions.
    """

    bins: tuple[Bin, ...]
    expected_error: float | None


class Prediction(Frozen):
    """The model's prediction on one example.

    Attributes:
      index: index of the example in the test split, from 0.
      label: label of the example.
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
    """The model's predictions on the test split. The verdict contains its metrics.

    Attributes:
      examples: number of examples.
      correct: number of correct predictions.
      calibration: calibration of the valid predictions.
      samples: predictions on the first examples.
      mistakes: wrong predictions with the highest confidence, in descending order.
    """

    examples: int
    correct: int
    calibration: Calibration
    samples: tuple[Prediction, ...]
    mistakes: tuple[Prediction, ...]

    @property
    def wrong(self) -> int:
        """Number of wrong or invalid predictions."""
        return self.examples - self.correct


class Layer(Frozen):
    """A layer of the network. `shape`: shape of its output without the batch, if it has one."""

    name: str
    shape: tuple[int | None, ...] | None
    parameters: int


class Training(Frozen):
    """The Trainer's history.

    Attributes:
      best_epoch: epoch of the exported weights, from 1.
      epochs: values of each epoch, by name: `epoch` (from 1), `seconds`, and any metrics. Values
        that are not finite are None.
      layers: layers of the network.
      parameters: number of weights.
      hardware: the machine that trained the model.
      precision: type of number that training computed with; None in older histories.
    """

    model_config = ConfigDict(extra="ignore")

    best_epoch: int
    epochs: tuple[dict[str, int | float | None], ...]
    layers: tuple[Layer, ...]
    parameters: int
    hardware: str
    precision: str | None = None

    @property
    def seconds(self) -> float:
        """Total duration of all epochs."""
        return sum(epoch.get("seconds") or 0 for epoch in self.epochs)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics: accuracy and loss first, then the others in recorded order."""
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
    """Everything known after the gate's decision. Sections that failed are None or empty.

    Attributes:
      format: version of this format. Version 3 has no precision and no augmented picture.
      model: the candidate.
      data: the data that the model was trained and tested on.
      label_counts: number of examples, by split and label.
      hyperparameters: JSON values, by name.
      training: the training history.
      verdict: the gate's verdict.
      baseline: None if the candidate had no baseline.
      predictions: predictions on the test split.
      warnings: contradictions between sections.
      problems: error messages, by section of the page that failed.
      class_pictures: PNG files with a row of training examples, by label.
      augmented_picture: PNG file with rows of augmented training examples, each starting with the
        original; None if the training did not augment.
      git: the code version; None if the code is not in a Git repository.
      packages: package versions, by name.
    """

    format: Literal[3, 4] = 4
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
    augmented_picture: str | None = None
    git: Git | None = None
    packages: dict[str, str] = {}

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Parses the output of `to_json`.

        Raises:
          ReportError: if the text is not a report; the message describes the first problem.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ReportError(f"expected a report: {problems(error)[0]}") from error


def read_report(directory: str) -> Report:
    """Reads the report in an artifact's directory.

    Raises:
      OSError: if the file can't be read.
      ReportError: if the file is not a report.
    """
    return Report.from_json(Path(directory, REPORT_CONTENT).read_text(encoding="utf-8"))
