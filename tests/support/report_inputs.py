"""Inputs of a report: examples, a toy model with given predictions, and its verdict."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from components.model_gate.rules import VERDICT_FILE, Confusion, Evaluated, Verdict, decide
from components.model_gate.thresholds import Thresholds
from components.report.content import Prediction
from models.features import CLASS_NAMES, IMAGE_SHAPE, NUM_CLASSES
from models.progress import AUGMENTED_FILE, HISTORY_FILE
from support.behaviors import good_behavior

if TYPE_CHECKING:
    from tfx.types import Artifact

EPOCHS: list[dict[str, float | None]] = [
    {
        "epoch": 1,
        "accuracy": 0.5,
        "loss": 1.5,
        "val_accuracy": 0.8,
        "val_loss": 0.9,
        "learning_rate": 0.001,
        "seconds": 2.0,
    },
    {
        "epoch": 2,
        "accuracy": 0.8,
        "loss": None,
        "val_accuracy": 0.75,
        "val_loss": 0.95,
        "learning_rate": 0.0005,
        "seconds": 1.5,
    },
]


FACTS: dict[str, object] = {
    "layers": [
        {"name": "Flatten", "shape": [4], "parameters": 0},
        {"name": "Dense", "shape": [10], "parameters": 12345},
    ],
    "parameters": 12345,
    "hardware": "Abacus, 2 threads, no GPU",
    "precision": "bfloat16",
}
"""Fields of the history other than `epochs`."""


def make_history(
    epochs: Sequence[Mapping[str, float | None]], best_epoch: int = 1
) -> dict[str, object]:
    """Creates the Trainer's history, as JSON values."""
    return {"best_epoch": best_epoch, "epochs": epochs, **FACTS}


AUGMENTATION = {
    "recipe": "augmented",
    "schedule": "cosine",
    "warmup": 0.1,
    "averaging": 0.2,
    "rotation": 12.0,
    "zoom": 0.1,
    "shift": 0.09,
    "shear": 0.0,
}
"""Hyperparameters of a recipe that augments."""


def write_augmented_sheet(
    file: Path, image_shape: tuple[int, int, int] = IMAGE_SHAPE, rows: int = 4, columns: int = 8
) -> None:
    """Writes augmented images in the layout of the Trainer: originals in the first column.

    The images of a row have the same shade, which is darker in the original.
    """
    height, width, channels = image_shape
    sheet = Image.new("L" if channels == 1 else "RGB", (columns * width, rows * height))
    for row, column in itertools.product(range(rows), range(columns)):
        shade = 60 * (row + 1) - (30 if column == 0 else column)
        box = (column * width + 2, row * height + 2, (column + 1) * width, (row + 1) * height)
        sheet.paste(shade if channels == 1 else (shade, 0, 0), box)
    sheet.save(file)


def make_verdict(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str] = CLASS_NAMES
) -> Verdict:
    """Creates the gate's verdict for a confusion matrix, with a threshold of 0.85.

    The matrix may have an additional column for invalid predictions.
    """
    size = len(class_names)
    counts = tuple(tuple(row[:size]) for row in matrix)
    invalid = tuple(sum(row[size:]) for row in matrix)
    return decide(
        Evaluated(Confusion(tuple(class_names), counts, invalid), 0.1, 1.0),
        good_behavior(),
        Thresholds(
            accuracy_threshold=Decimal("0.85"),
            class_recall_threshold=Decimal(0),
            max_loss=Decimal(1),
            min_test_examples=10,
            min_class_examples=1,
        ),
        "5" * 64,
    )


def make_mistake() -> Prediction:
    """Creates a wrong prediction with the picture `x.png`."""
    return Prediction(
        index=1,
        label=0,
        predicted=1,
        confidence=0.9,
        second=0,
        second_confidence=0.1,
        picture="x.png",
    )


def perfect_matrix(support: int = 9, size: int = NUM_CLASSES) -> list[list[int]]:
    """Creates a confusion matrix without mistakes."""
    return [[support if row == column else 0 for column in range(size)] for row in range(size)]


class Inputs:
    """Artifacts for a report.

    Args:
      toy: creates models and examples.
      cases: the examples, and the predictions that the verdict counts.
      class_names: class names, indexed by label.
    """

    def __init__(
        self, toy: Any, cases: Iterable[Any], class_names: Sequence[str] = CLASS_NAMES
    ) -> None:
        from tfx.types import standard_artifacts

        self.directory: Path = toy.directory
        self.class_names = class_names
        cases = list(cases)
        self.examples = toy.examples(cases)
        self.examples.split_names = '["train", "test"]'
        split = Path(self.examples.uri)
        shutil.copytree(split / "Split-test", split / "Split-train")
        self.examples.set_int_custom_property("count_train", len(cases))
        counts = Counter(str(case.label) for case in cases)
        self.examples.set_string_custom_property(
            "label_counts", json.dumps({"train": counts, "test": counts})
        )
        self.model = toy.model(model_id=5)
        self.model_run = standard_artifacts.ModelRun()
        self.model_run.uri = str(self.directory / "model_run")
        Path(self.model_run.uri).mkdir()
        self.history = Path(self.model_run.uri) / HISTORY_FILE
        self.write_history(EPOCHS)
        self.blessing = standard_artifacts.ModelBlessing()
        self.blessing.uri = str(self.directory / "blessing")
        Path(self.blessing.uri).mkdir()
        self.verdict = Path(self.blessing.uri) / VERDICT_FILE
        self.write_verdict(cases)

    def write_augmented_sheet(self, **layout: Any) -> None:
        write_augmented_sheet(Path(self.model_run.uri) / AUGMENTED_FILE, **layout)

    def write_history(self, epochs: Sequence[Mapping[str, float | None]]) -> None:
        self.history.write_text(json.dumps(make_history(epochs)))

    def write_verdict(self, cases: Iterable[Any]) -> None:
        """Writes the verdict for these cases."""
        size = len(self.class_names)
        matrix = [[0] * (size + 1) for _ in range(size)]
        for case in cases:
            matrix[case.label][min(case.predicted, size)] += 1
        self.verdict.write_text(make_verdict(matrix, self.class_names).to_json())

    def by_role(self) -> dict[str, Artifact]:
        return {
            "examples": self.examples,
            "model": self.model,
            "model_run": self.model_run,
            "blessing": self.blessing,
        }
