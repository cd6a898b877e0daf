"""What accompanies a training: stopping, learning rate, records and progress."""

from __future__ import annotations

import csv
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from typing_extensions import override

from models.hyperparameters import Hyperparameters
from models.progress import HISTORY_FILE, PROGRESS_LOGGER, TrainingProgress

_SECONDS_BETWEEN_REPORTS = 1.0
_MONITORED = "val_accuracy"


def make_callbacks(parameters: Hyperparameters, directory: Path) -> list[keras.callbacks.Callback]:
    """Makes the callbacks of a training, all but the backup.

    They stop it when it has stopped to get better (and restore the best weights) or when its loss
    is not finite, reduce its learning rate, and record it.

    Args:
      parameters: of the training.
      directory: for the history and TensorBoard's logs.

    Returns:
      The callbacks, in the order that they need: each reads what those before it have set.
    """
    early_stopping = keras.callbacks.EarlyStopping(
        _MONITORED,
        mode="max",
        patience=parameters.early_stopping_patience,
        restore_best_weights=True,
    )
    reduce_lr = keras.callbacks.ReduceLROnPlateau(
        _MONITORED,
        mode="max",
        patience=parameters.reduce_lr_patience,
        factor=parameters.reduce_lr_factor,
    )
    return [
        EpochSeeds(parameters.seed),
        keras.callbacks.TerminateOnNaN(),
        early_stopping,
        reduce_lr,
        keras.callbacks.TensorBoard(str(directory), write_graph=False),
        HistoryWriter(directory, early_stopping),
        ProgressLogger(),
    ]


class EpochSeeds(keras.callbacks.Callback):
    """Makes what dropout drops in an epoch depend on the seed and the epoch's number only.

    Keras keeps the state of dropout's random numbers out of a model's saved weights, so a resumed
    training would go on with those of the first epoch.

    Args:
      seed: of the training.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    @override
    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for number, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout):
                sequence = np.random.SeedSequence([self._seed, number, epoch])
                layer.seed_generator.state.assign(sequence.generate_state(2))


class HistoryWriter(keras.callbacks.Callback):
    """Writes HISTORY_FILE and `history.csv` after each epoch.

    Each epoch has `epoch` (from 1), `loss`, `accuracy`, `val_loss`, `val_accuracy`,
    `learning_rate` (that it was trained with) and `seconds` (validation included). The JSON file
    has them as the list `epochs`, with null where a value is not finite, beside `best_epoch`.

    Args:
      directory: made if it is not there.
      early_stopping: says which epoch is the best; stands before this in the list of callbacks,
        as does the ReduceLROnPlateau that gives the learning rate.
    """

    def __init__(self, directory: Path, early_stopping: keras.callbacks.EarlyStopping) -> None:
        super().__init__()
        self.epochs: list[dict[str, float]] = []
        self._directory = directory
        self._early_stopping = early_stopping
        self._began = 0.0

    @override
    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._began = time.monotonic()

    @override
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        seconds = round(time.monotonic() - self._began, 3)
        self.epochs.append({"epoch": epoch + 1, **metrics, "seconds": seconds})
        self._write()

    @override
    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        # A training that is resumed after its last epoch has no other occasion.
        self._write()

    def _write(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._write_json()
        self._write_csv()

    def _write_json(self) -> None:
        history = {
            "best_epoch": self._early_stopping.best_epoch + 1,
            "epochs": [
                {name: value if math.isfinite(value) else None for name, value in row.items()}
                for row in self.epochs
            ],
        }
        text = json.dumps(history, indent=2, allow_nan=False)
        (self._directory / HISTORY_FILE).write_text(text + "\n")

    def _write_csv(self) -> None:
        with (self._directory / "history.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, self.epochs[0])
            writer.writeheader()
            writer.writerows(self.epochs)


class ProgressLogger(keras.callbacks.Callback):
    """Logs a `TrainingProgress` about once a second and at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(PROGRESS_LOGGER)
        self._epoch = 0
        self._reported = 0.0

    @override
    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    @override
    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        last = batch + 1 == self.params["steps"]  # on_epoch_end has the validation, too
        if not last and time.monotonic() - self._reported >= _SECONDS_BETWEEN_REPORTS:
            self._report(batch + 1, logs)

    @override
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._report(self.params["steps"], logs)

    def _report(self, step: int, logs: dict[str, Any] | None) -> None:
        self._reported = time.monotonic()
        progress = TrainingProgress(
            epoch=self._epoch + 1,
            epochs=self.params["epochs"],
            step=step,
            steps=self.params["steps"],
            metrics={name: float(value) for name, value in (logs or {}).items()},
        )
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items())
        self._logger.info(
            "epoch %d of %d, step %d of %d: %s",
            progress.epoch,
            progress.epochs,
            progress.step,
            progress.steps,
            metrics,
            extra={"progress": progress},
        )
