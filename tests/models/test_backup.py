"""Resumed training matches uninterrupted training. The tests train a small Keras network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from typing_extensions import override

from models import backup
from models.backup import BackupAndRestore, backup_key
from models.callbacks import HistoryWriter, make_callbacks
from models.hyperparameters import Hyperparameters
from models.optimization import compile_model

_RANDOM = np.random.default_rng(0)
_LABELS = np.arange(300) % 5
_CENTERS = _RANDOM.normal(size=(5, 30)) / 2
_PIXELS = (_CENTERS[_LABELS] + _RANDOM.normal(size=(300, 30))).astype("float32")
_EPOCHS = 12
_RATE = 0.1


class _InterruptedError(Exception):
    pass


class _Interruption(keras.callbacks.Callback):
    """Simulates a kill in the middle of an epoch, or at its end but before the backup."""

    def __init__(self, epoch: int, at_end: bool) -> None:
        super().__init__()
        self._epoch, self._at_end, self._current = epoch, at_end, -1

    @override
    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._current = epoch

    @override
    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._current == self._epoch and batch == 3 and not self._at_end:
            raise _InterruptedError

    @override
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == self._epoch and self._at_end:
            raise _InterruptedError


class _Training:
    """One process's part of a training run."""

    def __init__(
        self,
        directory: Path,
        interruption: _Interruption | None = None,
        averaged: float = 0,
        **options: Any,
    ) -> None:
        keras.utils.set_random_seed(1)
        self.model = keras.Sequential(
            [keras.Input((30,)), layers.Dropout(0.5), layers.Dense(5, activation="softmax")]
        )
        parameters = Hyperparameters(
            recipe="notebook",
            epochs=_EPOCHS,
            learning_rate=_RATE,
            averaging=averaged,
            seed=1,
            **options,
        )
        compile_model(self.model, parameters, steps=6 * _EPOCHS)
        callbacks = make_callbacks(parameters, directory / "run")
        (self.history,) = (item for item in callbacks if isinstance(item, HistoryWriter))
        if interruption:
            callbacks.append(interruption)
        self.backup = BackupAndRestore(directory / "backup", callbacks)
        self.callbacks = [*callbacks, self.backup]

    def fit(self, pixels: np.ndarray = _PIXELS) -> None:
        """Trains for the remaining epochs."""
        self.model.fit(
            pixels,
            _LABELS,
            batch_size=50,
            shuffle=False,
            initial_epoch=self.backup.first_epoch(_EPOCHS),
            epochs=_EPOCHS,
            validation_data=(_PIXELS[:100], _LABELS[:100]),
            callbacks=self.callbacks,
            verbose=0,
        )

    def result(self) -> tuple[list[dict[str, float]], list[bytes]]:
        """Returns the history without `seconds`, and the weights; neither depends on kills."""
        epochs = [
            {name: value for name, value in epoch.items() if name != "seconds"}
            for epoch in self.history.epochs
        ]
        return epochs, [value.tobytes() for value in self.model.get_weights()]


def _interrupt(directory: Path, epoch: int, at_end: bool = False) -> None:
    with pytest.raises(_InterruptedError):
        _Training(directory, _Interruption(epoch, at_end)).fit()


def _complete(directory: Path) -> _Training:
    training = _Training(directory)
    training.fit()
    return training


def _folders(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "backup").iterdir())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> _Training:
    """A training run that reduces the learning rate and stops early after its best epoch."""
    return _complete(tmp_path_factory.mktemp("uninterrupted"))


def test_uninterrupted_training_exercises_all_saved_state(uninterrupted: _Training) -> None:
    epochs, _ = uninterrupted.result()
    accuracies = [epoch["val_accuracy"] for epoch in epochs]
    best = accuracies.index(max(accuracies))
    assert 0 < best < len(epochs) - 2, "the best epoch must precede the last interruption"
    assert len(epochs) < _EPOCHS, "training must stop early"
    assert epochs[-1]["learning_rate"] < epochs[0]["learning_rate"], "the rate must be reduced"


@pytest.mark.parametrize(
    ("epoch", "at_end"), [(0, True), (1, False), (7, False), (8, True), (9, False)]
)
def test_resumed_training_matches_uninterrupted_training(
    tmp_path: Path, uninterrupted: _Training, epoch: int, at_end: bool
) -> None:
    _interrupt(tmp_path, epoch, at_end)
    resumed = _Training(tmp_path)
    assert resumed.backup.first_epoch(_EPOCHS) == epoch
    resumed.fit()
    assert resumed.result() == uninterrupted.result()


@pytest.mark.parametrize("epoch", [1, 4])
def test_resumed_training_matches_with_averaged_weights(tmp_path: Path, epoch: int) -> None:
    uninterrupted = _Training(tmp_path / "uninterrupted", averaged=0.1)
    uninterrupted.fit()
    with pytest.raises(_InterruptedError):
        _Training(tmp_path, _Interruption(epoch, at_end=False), averaged=0.1).fit()
    for _ in ("resumed", "already finished"):
        training = _Training(tmp_path, averaged=0.1)
        training.fit()
        assert training.result() == uninterrupted.result()


def test_resumed_training_exports_the_last_epoch(tmp_path: Path) -> None:
    options: dict[str, Any] = {"exported_epoch": "last", "early_stopping_patience": _EPOCHS}
    uninterrupted = _Training(tmp_path / "uninterrupted", **options)
    uninterrupted.fit()
    accuracies = [epoch["val_accuracy"] for epoch in uninterrupted.history.epochs]
    assert max(accuracies) > accuracies[-1], "the last epoch must not be the best one"
    directory = tmp_path / "killed"
    with pytest.raises(_InterruptedError):
        _Training(directory, _Interruption(_EPOCHS - 1, at_end=True), **options).fit()
    for _ in ("resumed", "already finished"):
        training = _Training(directory, **options)
        training.fit()
        assert training.result() == uninterrupted.result()


def test_a_backup_is_never_half_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = _complete(tmp_path)

    def interrupted(path: Path, **_: Any) -> None:
        if path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.backup.delete()
    assert not (tmp_path / "backup").exists()


def test_training_resumes_after_several_interruptions(
    tmp_path: Path, uninterrupted: _Training
) -> None:
    for epoch in (1, 1, 8):
        _interrupt(tmp_path, epoch)
    assert _complete(tmp_path).result() == uninterrupted.result()


def test_finished_training_is_never_resumed(tmp_path: Path, uninterrupted: _Training) -> None:
    _complete(tmp_path)
    rerun = _Training(tmp_path, _Interruption(len(uninterrupted.history.epochs), at_end=False))
    assert rerun.backup.first_epoch(_EPOCHS) == _EPOCHS
    rerun.fit()
    assert rerun.result() == uninterrupted.result()


def test_newest_and_best_epoch_are_kept_until_the_backup_is_deleted(tmp_path: Path) -> None:
    training = _complete(tmp_path)
    accuracies = [epoch["val_accuracy"] for epoch in training.history.epochs]
    newest, best = len(accuracies) - 1, accuracies.index(max(accuracies))
    assert _folders(tmp_path) == [f"epoch-{best:05d}", f"epoch-{newest:05d}"]
    training.backup.delete()
    assert not (tmp_path / "backup").exists()


def test_an_incomplete_backup_is_ignored(tmp_path: Path, uninterrupted: _Training) -> None:
    _interrupt(tmp_path, 2)
    incomplete = tmp_path / "backup" / "staging"
    incomplete.mkdir()
    (incomplete / "model.weights.h5").write_bytes(b"truncated")
    assert _complete(tmp_path).result() == uninterrupted.result()


def test_an_epoch_with_a_non_finite_loss_is_not_backed_up(tmp_path: Path) -> None:
    _interrupt(tmp_path, 1)
    _Training(tmp_path).fit(np.full_like(_PIXELS, np.nan))
    assert _folders(tmp_path) == ["epoch-00000"]


def _key(directory: Path, content: str = "examples", setting: str = "seed 1") -> str:
    file = directory / "train.gz"
    file.write_text(content)
    return backup_key([str(file)], [setting])


def test_the_key_does_not_depend_on_file_names(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert _key(tmp_path) == _key(tmp_path / "elsewhere")


def test_the_key_changes_with_examples_and_settings(tmp_path: Path) -> None:
    keys = [_key(tmp_path), _key(tmp_path, "others"), _key(tmp_path, setting="seed 2")]
    assert len(set(keys)) == 3


def test_the_key_changes_with_the_source_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _key(tmp_path)
    sources = tmp_path / "models"
    shutil.copytree(Path(backup.__file__).parent, sources)
    monkeypatch.setattr(backup, "__file__", str(sources / "backup.py"))
    assert _key(tmp_path) == before
    with (sources / "architecture.py").open("a") as file:
        file.write("# changed\n")
    assert _key(tmp_path) != before
