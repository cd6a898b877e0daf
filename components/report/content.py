"""What a report says: the content of `report.json`, from which the page is drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.common.provenance import ArtifactRecord, Data, Git
from components.model_gate.rules import Digit, Verdict

REPORT_PAGE = "report.html"
REPORT_CONTENT = "report.json"


class ReportError(Exception):
    """There is no report, or not a readable one."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bin(_Frozen):
    """Answers whose confidence is in (lower, upper]; the means are None where there are none."""

    lower: float
    upper: float
    examples: int
    confidence: float | None
    accuracy: float | None


class Calibration(_Frozen):
    """How far confidences can be taken as probabilities to be right.

    Attributes:
      bins: of equal width, from 0 to 1.
      expected_error: the expected calibration error; None if there was no answer.
    """

    bins: tuple[Bin, ...]
    expected_error: float | None


class Answer(_Frozen):
    """The model's answer to one example.

    Attributes:
      index: of the example in the test split, from 0.
      label: what it is.
      predicted: the most probable digit; None if the answer is no digit, such as NaN.
      confidence: its probability.
      second: the next digit.
      second_confidence: its probability.
      picture: name of a PNG file.
    """

    index: int
    label: int
    predicted: int | None
    confidence: float | None
    second: int | None
    second_confidence: float | None
    picture: str


class Answers(_Frozen):
    """What the model answers on the test split.

    Attributes:
      confusion_matrix: `confusion_matrix[actual][predicted]`, NUM_CLASSES rows.
      unanswered: by actual digit, examples whose answer is no digit.
      per_class: precision, recall and F1 of each digit.
      calibration: of the answers that are digits.
      samples: the first examples.
      mistakes: the wrong answers with the highest confidence, that first.
    """

    confusion_matrix: tuple[tuple[int, ...], ...]
    unanswered: tuple[int, ...]
    per_class: tuple[Digit, ...]
    calibration: Calibration
    samples: tuple[Answer, ...]
    mistakes: tuple[Answer, ...]

    @property
    def examples(self) -> int:
        """All of them, answered or not."""
        return sum(map(sum, self.confusion_matrix)) + sum(self.unanswered)

    @property
    def wrong(self) -> int:
        """Examples that were not taken for what they are."""
        right = sum(row[digit] for digit, row in enumerate(self.confusion_matrix))
        return self.examples - right


class Epoch(_Frozen):
    """One epoch of the training; None where a value was not finite."""

    epoch: int
    loss: float | None
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float | None
    seconds: float


class Training(BaseModel):
    """`history.json` of the Trainer.

    Attributes:
      best_epoch: from 1; the one whose weights were kept.
    """

    model_config = ConfigDict(frozen=True)

    best_epoch: int
    epochs: tuple[Epoch, ...]


class Baseline(_Frozen):
    """The model that the candidate was compared with."""

    id: str
    uri: str
    accuracy: float | None


class Figure(_Frozen):
    """A plot, as two PNG files for the two colour schemes.

    Attributes:
      light: file name.
      dark: file name.
      alt: what it shows, for those who don't see it.
      width: in CSS pixels.
      height: in CSS pixels.
    """

    light: str
    dark: str
    alt: str
    width: int
    height: int


class Report(_Frozen):
    """All that is known when the gate has decided; None and absent is what could not be had.

    Attributes:
      format: version of this format.
      model: the candidate.
      data: what it learnt from, and was tested on.
      label_counts: examples by split and label.
      hyperparameters: of the training.
      training: how it went.
      verdict: of the gate.
      baseline: None if there was none.
      answers: the model's, on the test split.
      warnings: what contradicts itself.
      problems: by section of the page, why it can't be shown.
      class_pictures: by digit, a PNG file with a row of training examples.
      figures: by name.
      git: the code; None if it is in no Git repository.
      packages: versions by name.
    """

    format: Literal[1] = 1
    model: ArtifactRecord
    data: Data
    label_counts: dict[str, dict[int, int]] = {}
    hyperparameters: dict[str, int | float | str] = {}
    training: Training | None = None
    verdict: Verdict | None = None
    baseline: Baseline | None = None
    answers: Answers | None = None
    warnings: tuple[str, ...] = ()
    problems: dict[str, str] = {}
    class_pictures: dict[int, str] = {}
    figures: dict[str, Figure] = {}
    git: Git | None = None
    packages: dict[str, str] = {}

    def to_json(self) -> str:
        """Standard JSON, indented for people."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Reads what `to_json` wrote.

        Raises:
          ReportError: if the text is something else.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "JSON"
            raise ReportError(f"expected a report: {where}: {first['msg']}") from error
