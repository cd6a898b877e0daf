"""Training recipes: named sets of hyperparameters that suit each other.

To add one, add an entry to RECIPES. `--recipe`, settings files and the Trainer then accept its
name. `models.hyperparameters.Hyperparameters` describes the values. Choose values on the validation
split, never on the test split, and compare recipes over several seeds: two trainings that differ
only in their seed can differ by 0.1 points of accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Metric = Literal["val_accuracy", "val_loss"]
ExportedEpoch = Literal["best", "last"]
Schedule = Literal["cosine", "plateau"]
Precision = Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True)
class Recipe:
    """The defaults of all hyperparameters except the network and the seed."""

    epochs: int
    min_steps: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    warmup: float
    reduce_lr_patience: int
    reduce_lr_factor: float
    monitor: Metric
    early_stopping_patience: int
    exported_epoch: ExportedEpoch
    averaging: float
    block_dropout: float
    dense_dropout: float
    rotation: float
    zoom: float
    shift: float
    shear: float
    precision: Precision


RECIPES: dict[str, Recipe] = {
    # More accurate than the notebook's recipe in less time (docs/benchmarks.md). Random affine
    # transformations replace the dropout between convolutions, which takes 20% of the time of a
    # step, and averages of large steps replace small ones.
    "augmented": Recipe(
        epochs=15,
        min_steps=560,
        batch_size=256,
        learning_rate=0.003,
        schedule="cosine",
        warmup=0.1,
        reduce_lr_patience=2,
        reduce_lr_factor=0.5,
        monitor="val_loss",
        early_stopping_patience=12,
        exported_epoch="last",
        averaging=0.2,
        block_dropout=0,
        dense_dropout=0.5,
        rotation=12,
        zoom=0.1,
        shift=0.09,
        shear=0.1,
        precision="auto",
    ),
    # The recipe of the notebook that this project grew out of.
    "notebook": Recipe(
        epochs=10,
        min_steps=0,
        batch_size=64,
        learning_rate=0.001,
        schedule="plateau",
        warmup=0,
        reduce_lr_patience=2,
        reduce_lr_factor=0.5,
        monitor="val_accuracy",
        early_stopping_patience=3,
        exported_epoch="best",
        averaging=0,
        block_dropout=0.25,
        dense_dropout=0.5,
        rotation=0,
        zoom=0,
        shift=0,
        shear=0,
        precision="float32",
    ),
}
"""Recipes, keyed by the name passed to `--recipe`."""

DEFAULT_RECIPE = "augmented"
