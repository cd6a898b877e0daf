"""What the callbacks of a training do, on a small network that real Keras trains."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.small_trainings import real_digits

from models import callbacks
from models.callbacks import EpochSeeds, make_callbacks
from models.hyperparameters import Hyperparameters
from models.progress import PROGRESS_LOGGER, TrainingProgress

_IMAGES, _LABELS = (values[:300] for values in real_digits())
_PIXELS = _IMAGES.astype(np.float32) / 255


def _fit(
    directory: Path,
    rates: Callable[[int], float] | None,
    pixels: np.ndarray = _PIXELS,
    **parameters: Any,
) -> keras.Model:
    """Trains for 6 epochs if it may, in batches of 50, with a given learning rate in each."""
    hyperparameters = Hyperparameters.from_config(parameters)
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((28, 28, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(hyperparameters.learning_rate)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = make_callbacks(hyperparameters, directory)
    if rates:
        callbacks.insert(0, keras.callbacks.LearningRateScheduler(rates))
    model.fit(
        pixels,
        _LABELS,
        batch_size=50,
        epochs=6,
        validation_data=(_PIXELS[:100], _LABELS[:100]),
        callbacks=callbacks,
        verbose=0,
    )
    return model


def _worse_from(epoch: int) -> Callable[[int], float]:
    return lambda number: 0.01 if number < epoch else -0.1


def _history(directory: Path) -> Any:
    return json.loads((directory / "history.json").read_text())


def _accuracy(model: keras.Model) -> float:
    predicted = model.predict(_PIXELS[:100], verbose=0).argmax(axis=1)
    return float((predicted == _LABELS[:100]).mean())


def test_history_has_each_epoch_as_json_and_csv(tmp_path: Path) -> None:
    _fit(tmp_path, lambda _: 0.001)
    epochs = _history(tmp_path)["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    names = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    assert all(set(epoch) == {"epoch", *names} for epoch in epochs)
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == epochs


def test_history_says_which_epoch_is_the_best(tmp_path: Path) -> None:
    _fit(tmp_path, _worse_from(2))
    history = _history(tmp_path)
    accuracies = [epoch["val_accuracy"] for epoch in history["epochs"]]
    assert history["best_epoch"] == 1 + accuracies.index(max(accuracies)) == 2


def test_early_stopping_restores_the_best_weights(tmp_path: Path) -> None:
    model = _fit(tmp_path, _worse_from(2), early_stopping_patience=3)
    accuracies = [epoch["val_accuracy"] for epoch in _history(tmp_path)["epochs"]]
    assert len(accuracies) == 2 + 3
    assert _accuracy(model) == pytest.approx(accuracies[1])
    assert accuracies[1] > max(accuracies[2:])


def test_best_weights_are_restored_when_the_epochs_run_out(tmp_path: Path) -> None:
    model = _fit(tmp_path, _worse_from(5))
    accuracies = [epoch["val_accuracy"] for epoch in _history(tmp_path)["epochs"]]
    assert len(accuracies) == 6
    assert _accuracy(model) == pytest.approx(max(accuracies)) != pytest.approx(accuracies[-1])


def test_a_reduced_learning_rate_is_in_the_history(tmp_path: Path) -> None:
    _fit(
        tmp_path,
        None,
        learning_rate=1e-9,
        early_stopping_patience=9,
        reduce_lr_patience=2,
        reduce_lr_factor=0.25,
    )
    rates = [epoch["learning_rate"] for epoch in _history(tmp_path)["epochs"]]
    assert rates == pytest.approx([1e-9, 1e-9, 1e-9, 1e-9 / 4, 1e-9 / 4, 1e-9 / 16])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path, bad: float) -> None:
    pixels = _PIXELS.copy()
    pixels[120] = bad
    _fit(tmp_path, lambda _: 0.001, pixels)
    history = _history(tmp_path)
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1]
    assert history["epochs"][0]["loss"] is None


def test_tensorboard_has_logs_of_training_and_validation(tmp_path: Path) -> None:
    _fit(tmp_path, lambda _: 0.001)
    logs = {path.parent.name for path in tmp_path.glob("*/events.out.tfevents.*")}
    assert logs == {"train", "validation"}


def test_progress_is_logged_at_each_epochs_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, PROGRESS_LOGGER):
        _fit(tmp_path, lambda _: 0.001)
    reports: list[TrainingProgress] = [record.__dict__["progress"] for record in caplog.records]
    ends = [report for report in reports if "val_accuracy" in report.metrics]
    assert [(end.epoch, end.epochs, end.step, end.steps) for end in ends] == [
        (epoch, 6, 6, 6) for epoch in range(1, 7)
    ]
    assert ends[0].metrics["val_loss"] == _history(tmp_path)["epochs"][0]["val_loss"]
    assert (reports[0].epoch, reports[0].step) == (1, 1)
    assert set(reports[0].metrics) == {"loss", "accuracy"}
    assert caplog.messages[-1].startswith("epoch 6 of 6, step 6 of 6: accuracy 0.")
    assert capfd.readouterr().out == ""


def _dropped(seed: int, epochs: range) -> list[np.ndarray]:
    """What dropout leaves of ones, twice in each of the epochs."""
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dropout(0.5)])
    callback = EpochSeeds(seed)
    callback.set_model(model)
    left = []
    for epoch in epochs:
        callback.on_epoch_begin(epoch)
        left += [np.asarray(model(np.ones((1, 50)), training=True)) for _ in range(2)]
    return left


def test_dropout_depends_on_seed_epoch_and_step() -> None:
    steps = [*_dropped(1, range(2)), *_dropped(2, range(1))]
    assert len({step.tobytes() for step in steps}) == 6


def test_dropout_of_an_epoch_is_the_same_wherever_the_training_begins() -> None:
    np.testing.assert_array_equal(_dropped(1, range(3))[4:], _dropped(1, range(2, 3)))


def test_layers_drop_different_units() -> None:
    layers = [keras.Input((50,)), keras.layers.Dropout(0.5), keras.layers.Dropout(0.5)]
    model = keras.Sequential(layers)
    callback = EpochSeeds(1)
    callback.set_model(model)
    callback.on_epoch_begin(0)
    first, second = (layer.seed_generator.state.numpy().tolist() for layer in model.layers)
    assert first != second


def test_last_step_is_reported_once_with_the_validation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(callbacks, "_SECONDS_BETWEEN_REPORTS", 0)
    logger = callbacks.ProgressLogger()
    logger.set_params({"epochs": 1, "steps": 3})
    with caplog.at_level(logging.INFO, PROGRESS_LOGGER):
        logger.on_epoch_begin(0)
        for batch in range(3):
            logger.on_train_batch_end(batch, {"loss": 1.0})
        logger.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    reports = [vars(record)["progress"] for record in caplog.records]
    assert [report.step for report in reports] == [1, 2, 3]
    assert "val_loss" in reports[-1].metrics
