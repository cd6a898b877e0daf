"""The training callbacks, tested by training a small Keras network."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from models import callbacks
from models.callbacks import EpochSeeds, HistoryWriter, make_callbacks
from models.hardware import describe_hardware
from models.hyperparameters import Hyperparameters
from models.optimization import compile_model
from models.progress import PROGRESS_LOGGER, TrainingProgress

_RANDOM = np.random.default_rng(0)
_LABELS = np.arange(300) % 5
_PIXELS = (_RANDOM.normal(size=(5, 30))[_LABELS] + _RANDOM.normal(size=(300, 30))).astype("float32")


def _fit(
    directory: Path,
    rates: Callable[[int], float] | None = None,
    pixels: np.ndarray = _PIXELS,
    **parameters: Any,
) -> keras.Model:
    """Trains for up to 6 epochs of 6 steps.

    Args:
      directory: where the history is written.
      rates: maps each epoch to its learning rate; defaults to the hyperparameter.
      pixels: the training inputs.
      **parameters: hyperparameters other than those of the recipe `notebook`.
    """
    hyperparameters = Hyperparameters(**{"recipe": "notebook", "epochs": 6, **parameters})
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((30,)), layers.Dense(5, activation="softmax")])
    compile_model(model, hyperparameters, steps=6 * hyperparameters.epochs)
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


def test_history_includes_metrics_that_start_in_a_later_epoch(tmp_path: Path) -> None:
    early_stopping = keras.callbacks.EarlyStopping()
    early_stopping.on_train_begin()
    writer = HistoryWriter(tmp_path, early_stopping, "float32")
    writer.set_model(keras.Sequential([keras.Input((1,)), layers.Dense(1)]))
    for epoch, logs in enumerate([{"loss": 3.0}, {"loss": 2.0, "late": 0.5}, {"loss": 1.0}]):
        writer.on_epoch_begin(epoch)
        writer.on_epoch_end(epoch, logs)
    assert [row.get("late") for row in _history(tmp_path)["epochs"]] == [None, 0.5, None]
    with (tmp_path / "history.csv").open(newline="") as file:
        assert [row["late"] for row in csv.DictReader(file)] == ["", "0.5", ""]


def test_history_describes_the_model_and_the_machine(tmp_path: Path) -> None:
    _fit(tmp_path)
    history = _history(tmp_path)
    assert history["layers"] == [{"name": "Dense", "shape": [5], "parameters": 155}]
    assert history["parameters"] == 155
    assert history["precision"] == "float32"
    assert history["hardware"] == describe_hardware()


def test_layer_with_several_outputs_has_no_shape(tmp_path: Path) -> None:
    image = keras.Input((30,))
    inner = keras.Input((30,))
    doubled = keras.Model(inner, [layers.ReLU()(inner), layers.ReLU()(inner)])
    outputs = layers.Dense(5, activation="softmax")(layers.Add()(doubled(image)))
    early_stopping = keras.callbacks.EarlyStopping()
    early_stopping.on_train_begin()
    writer = HistoryWriter(tmp_path, early_stopping, "float32")
    writer.set_model(keras.Model(image, outputs))
    writer.on_train_end()
    described = {layer["name"]: layer["shape"] for layer in _history(tmp_path)["layers"]}
    assert described == {"InputLayer": [30], "Functional": None, "Add": [30], "Dense": [5]}


def test_history_names_the_best_epoch(tmp_path: Path) -> None:
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


def test_the_best_epoch_can_be_the_one_with_the_smallest_loss(tmp_path: Path) -> None:
    _fit(tmp_path, monitor="val_loss", learning_rate=0.05)
    history = _history(tmp_path)
    losses = [epoch["val_loss"] for epoch in history["epochs"]]
    accuracies = [epoch["val_accuracy"] for epoch in history["epochs"]]
    assert history["best_epoch"] == 1 + losses.index(min(losses))
    assert history["best_epoch"] != 1 + accuracies.index(max(accuracies))


def test_best_weights_are_restored_after_the_last_epoch(tmp_path: Path) -> None:
    model = _fit(tmp_path, _worse_from(5))
    accuracies = [epoch["val_accuracy"] for epoch in _history(tmp_path)["epochs"]]
    assert len(accuracies) == 6
    assert _accuracy(model) == pytest.approx(max(accuracies)) != pytest.approx(accuracies[-1])


def test_the_last_weights_can_be_kept(tmp_path: Path) -> None:
    model = _fit(tmp_path, _worse_from(5), exported_epoch="last")
    history = _history(tmp_path)
    accuracies = [epoch["val_accuracy"] for epoch in history["epochs"]]
    assert history["best_epoch"] == 6
    assert _accuracy(model) == pytest.approx(accuracies[-1]) != pytest.approx(max(accuracies))


def test_the_best_weights_are_restored_after_an_early_stop(tmp_path: Path) -> None:
    _fit(tmp_path, _worse_from(2), exported_epoch="last", early_stopping_patience=3)
    assert _history(tmp_path)["best_epoch"] == 2


def test_the_best_weights_are_restored_if_the_last_ones_are_not_finite(tmp_path: Path) -> None:
    model = _fit(tmp_path, lambda epoch: 0.01 if epoch < 5 else math.inf, exported_epoch="last")
    assert _history(tmp_path)["best_epoch"] == 5
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_history_shows_the_reduced_learning_rate(tmp_path: Path) -> None:
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


def test_the_cosine_schedule_continues_through_a_plateau(tmp_path: Path) -> None:
    _fit(
        tmp_path,
        schedule="cosine",
        learning_rate=1e-9,
        warmup=1 / 3,
        early_stopping_patience=9,
        reduce_lr_patience=1,
    )
    epochs = _history(tmp_path)["epochs"]
    assert len({epoch["val_accuracy"] for epoch in epochs}) == 1
    # The rate rises for 12 of the 36 steps, and then falls along half a cosine wave.
    assert [epoch["learning_rate"] for epoch in epochs] == pytest.approx(
        [
            1e-9 * (step / 12 if step < 12 else 0.5 + 0.5 * math.cos(math.pi * (step - 12) / 24))
            for step in (5, 11, 17, 23, 29, 35)
        ]
    )


def test_averaged_weights_are_validated_and_kept(tmp_path: Path) -> None:
    _fit(tmp_path / "plain")
    model = _fit(tmp_path / "averaged", averaging=0.2)
    plain, averaged = (_history(tmp_path / name) for name in ("plain", "averaged"))
    for before, after in zip(plain["epochs"], averaged["epochs"], strict=True):
        assert before["loss"] == after["loss"], "averaging must not change the trained weights"
        assert before["val_loss"] != after["val_loss"]
    loss, _ = model.evaluate(_PIXELS[:100], _LABELS[:100], verbose=0)
    best = averaged["epochs"][averaged["best_epoch"] - 1]
    assert loss == pytest.approx(best["val_loss"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_loss_stops_training(tmp_path: Path, bad: float) -> None:
    pixels = _PIXELS.copy()
    pixels[120] = bad
    _fit(tmp_path, lambda _: 0.001, pixels)
    history = _history(tmp_path)
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1]
    assert history["epochs"][0]["loss"] is None
    assert history["epochs"][0]["learning_rate"] == pytest.approx(0.001)


def test_tensorboard_logs_cover_training_and_validation(tmp_path: Path) -> None:
    _fit(tmp_path, lambda _: 0.001)
    logs = {path.parent.name for path in tmp_path.glob("*/events.out.tfevents.*")}
    assert logs == {"train", "validation"}


def test_progress_is_logged_at_the_end_of_each_epoch(
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
    assert caplog.messages[-1].startswith("epoch 6 of 6, step 6 of 6: accuracy ")
    assert capfd.readouterr().out == ""


class _Noise(layers.Layer):
    """Adds noise from its own seed generator."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = keras.random.SeedGenerator()

    def call(self, inputs: Any) -> Any:
        return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.noise)


def _nested() -> list[keras.Layer]:
    inner = keras.Sequential([layers.RandomRotation(0.5), layers.GaussianNoise(1.0)])
    return [keras.Sequential([inner, layers.RandomFlip()])]


RANDOM_LAYERS: dict[str, Callable[[], list[keras.Layer]]] = {
    "dropout": lambda: [layers.Dropout(0.5)],
    "two_dropouts": lambda: [layers.Dropout(0.5), layers.Dropout(0.5)],
    "augmentation": lambda: [layers.RandomTranslation(0.5, 0.5)],
    "nested": _nested,
    "custom": lambda: [_Noise()],
    "wrapped": lambda: [layers.TimeDistributed(layers.Dropout(0.5))],
}


def _outputs(kind: str, seed: int, epochs: range) -> list[bytes]:
    """Passes an image through new layers of the given kind, twice in each epoch."""
    model = keras.Sequential([keras.Input((9, 9, 1)), *RANDOM_LAYERS[kind]()])
    callback = EpochSeeds(seed)
    callback.set_model(model)
    image = np.arange(81, dtype=np.float32).reshape(1, 9, 9, 1)
    outputs = []
    for epoch in epochs:
        callback.on_epoch_begin(epoch)
        outputs += [np.asarray(model(image, training=True)).tobytes() for _ in range(2)]
    return outputs


@pytest.mark.parametrize("kind", RANDOM_LAYERS)
def test_random_layers_depend_on_seed_epoch_and_step(kind: str) -> None:
    assert len({*_outputs(kind, 1, range(2)), *_outputs(kind, 2, range(1))}) == 6


@pytest.mark.parametrize("kind", RANDOM_LAYERS)
def test_random_layers_do_not_depend_on_the_first_epoch(kind: str) -> None:
    assert _outputs(kind, 1, range(3))[4:] == _outputs(kind, 1, range(2, 3))


@pytest.mark.parametrize("kind", ["two_dropouts", "nested"])
def test_random_layers_get_different_seeds(kind: str) -> None:
    model = keras.Sequential([keras.Input((9, 9, 1)), *RANDOM_LAYERS[kind]()])
    callback = EpochSeeds(1)
    callback.set_model(model)
    callback.on_epoch_begin(0)
    states = [tuple(state.numpy()) for state in model.variables]
    assert len(set(states)) == len(states) > 1


def test_the_last_step_is_reported_once_with_the_validation_metrics(
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
