"""Resumes interrupted training from its last completed epoch, with identical results."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from models.callbacks import AveragedWeights, EarlyStopping, HistoryWriter

_WEIGHTS = "model.weights.h5"
_STATE = "state.json"
_SAVED_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    EarlyStopping: ("best", "best_epoch", "stopped_epoch", "wait"),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
    AveragedWeights: ("exchanged",),
    HistoryWriter: ("epochs",),
}


class BackupAndRestore(keras.callbacks.Callback):
    """Saves the training state after each epoch and restores it when training begins.

    Differs from the Keras callback of the same name:
      - Weights and state are published in a single rename, so a kill at any moment leaves the
        previous backup intact. Keras can leave the weights of one epoch and the number of another.
      - EarlyStopping and ReduceLROnPlateau keep their counters and the best weights, so the best
        epoch can precede the interruption. The history keeps its epochs.
      - Finished training is never resumed, and an epoch with a non-finite loss is not saved.
      - The backup outlives `fit` until `delete` is called, because the model is not exported yet.

    A backup is a directory `epoch-<number>` that contains the weights of the model and of the
    optimizer, and the callbacks' state. Only the newest and the best epoch are kept. This must be
    the last callback, because it restores state that other callbacks reset in `on_train_begin`.

    Args:
      directory: used by this training only (see `backup_key`).
      callbacks: all preceding callbacks, including an EarlyStopping that restores the best weights.
    """

    def __init__(self, directory: Path, callbacks: Iterable[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._directory = directory
        self._stateful = {
            type(callback).__name__: callback
            for callback in callbacks
            if type(callback) in _SAVED_ATTRIBUTES
        }
        self._early_stopping = self._stateful["EarlyStopping"]
        self._state = self._read_state()

    def first_epoch(self, epochs: int) -> int:
        """Returns the epoch to start from, counted from 0; `epochs` if training has finished."""
        if self._state is None:
            return 0
        return epochs if self._state["ended"] else int(self._state["epoch"]) + 1

    @override
    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._state is None:
            return
        self.model.optimizer.build(self.model.trainable_variables)
        saved = self._state["kept"]
        self.model.load_weights(self._folder(saved["EarlyStopping"]["best_epoch"]) / _WEIGHTS)
        self._early_stopping.best_weights = self.model.get_weights()
        self.model.load_weights(self._folder(self._state["epoch"]) / _WEIGHTS)
        for name, callback in self._stateful.items():
            vars(callback).update(saved[name])

    @override
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return
        saved = {
            name: {key: getattr(callback, key) for key in _SAVED_ATTRIBUTES[type(callback)]}
            for name, callback in self._stateful.items()
        }
        state = {"epoch": epoch, "ended": self.model.stop_training, "kept": saved}
        staging = self._directory / "staging"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        self.model.save_weights(staging / _WEIGHTS)
        (staging / _STATE).write_text(json.dumps(state))
        staging.rename(self._folder(epoch))
        needed = {self._folder(epoch), self._folder(self._early_stopping.best_epoch)}
        for folder in set(self._directory.glob("epoch-*")) - needed:
            shutil.rmtree(folder)

    def delete(self) -> None:
        """Deletes the backup. Call this after exporting the model."""
        if not self._directory.exists():
            return
        # A kill during the deletion must not leave half of a backup.
        deleted = self._directory.with_name(f"{self._directory.name}.deleted")
        shutil.rmtree(deleted, ignore_errors=True)
        self._directory.rename(deleted)
        shutil.rmtree(deleted, ignore_errors=True)

    def _folder(self, epoch: int) -> Path:
        return self._directory / f"epoch-{epoch:05d}"

    def _read_state(self) -> dict[str, Any] | None:
        folders = sorted(self._directory.glob("epoch-*"))
        return json.loads((folders[-1] / _STATE).read_text()) if folders else None


def backup_key(files: Iterable[str], settings: Sequence[str]) -> str:
    """Hashes everything that the training state depends on.

    Args:
      files: paths of the example files, which are hashed by content, not by name.
      settings: everything else that affects training, such as hyperparameters.

    Returns:
      SHA-256 (hex) of the files, the settings, the source code of this package, and the versions of
      TensorFlow and Keras.
    """
    sources = sorted(str(path) for path in Path(__file__).parent.rglob("*.py"))
    digests = [hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in [*files, *sources]]
    parts = [tf.__version__, keras.__version__, *settings, *digests]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
