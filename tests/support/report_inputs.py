"""Inputs of a report: a model that is right as often as its examples say, and a verdict on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.model_gate.rules import Confusion, Evaluated, Thresholds, Verdict, judge

if TYPE_CHECKING:
    from tfx.types import Artifact

EPOCHS = [
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


def make_verdict(matrix: Sequence[Sequence[int]], unanswered: Sequence[int]) -> Verdict:
    """What the gate says of these counts, with a threshold of 0.85."""
    return judge(
        Evaluated(Confusion(tuple(map(tuple, matrix)), tuple(unanswered)), 0.1, 1.0),
        None,
        Thresholds(
            accuracy=Decimal("0.85"),
            digit_accuracy=Decimal(0),
            loss=Decimal(1),
            min_examples=10,
            baseline_tolerance=Decimal(0),
        ),
        "5" * 64,
    )


class Inputs:
    """Artifacts for a report.

    Args:
      toy: makes models and examples.
      questions: what is asked; the verdict counts these very answers.
    """

    def __init__(self, toy: Any, questions: Iterable[Any]) -> None:
        from tfx.types import standard_artifacts

        self.directory: Path = toy.directory
        questions = list(questions)
        self.examples = toy.examples(questions)
        self.examples.split_names = '["train", "test"]'
        split = Path(self.examples.uri)
        shutil.copytree(split / "Split-test", split / "Split-train")
        self.examples.set_int_custom_property("count_train", len(questions))
        counts = {str(d): sum(q.label == d for q in questions) for d in range(10)}
        self.examples.set_string_custom_property(
            "label_counts", json.dumps({"train": counts, "test": counts})
        )
        self.model = toy.model(model_id=5)
        self.model_run = standard_artifacts.ModelRun()
        self.model_run.uri = str(self.directory / "model_run")
        Path(self.model_run.uri).mkdir()
        self.history = Path(self.model_run.uri) / "history.json"
        self.history.write_text(json.dumps({"best_epoch": 1, "epochs": EPOCHS}))
        self.blessing = standard_artifacts.ModelBlessing()
        self.blessing.uri = str(self.directory / "blessing")
        Path(self.blessing.uri).mkdir()
        self.verdict = Path(self.blessing.uri) / "verdict.json"
        self.judge(questions)

    def judge(self, questions: Iterable[Any]) -> None:
        """Writes the verdict on the answers to these questions."""
        matrix = [[0] * 10 for _ in range(10)]
        unanswered = [0] * 10
        for question in questions:
            if question.answer < 10:
                matrix[question.label][question.answer] += 1
            else:
                unanswered[question.label] += 1
        self.verdict.write_text(make_verdict(matrix, unanswered).to_json())

    def by_role(self) -> dict[str, Artifact]:
        return {
            "examples": self.examples,
            "model": self.model,
            "model_run": self.model_run,
            "blessing": self.blessing,
        }
