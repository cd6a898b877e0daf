"""What the Trainer's `custom_config` may say."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, asdict

import pytest

from models.hyperparameters import Hyperparameters, HyperparametersError


@pytest.mark.parametrize("config", [None, {}])
def test_the_defaults_are_those_of_the_design(config: dict[str, object] | None) -> None:
    assert asdict(Hyperparameters.from_config(config)) == {
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 0.001,
        "seed": 42,
        "early_stopping_patience": 3,
        "reduce_lr_patience": 2,
        "reduce_lr_factor": 0.5,
        "backup_dir": "",
    }


def test_values_replace_the_defaults() -> None:
    parameters = Hyperparameters.from_config({"epochs": 2, "backup_dir": "backups"})
    assert (parameters.epochs, parameters.backup_dir) == (2, "backups")


def test_an_unknown_hyperparameter_is_an_error() -> None:
    message = (
        "unknown hyperparameter 'epoch': use one of epochs, batch_size, learning_rate, seed, "
        "early_stopping_patience, reduce_lr_patience, reduce_lr_factor, backup_dir"
    )
    with pytest.raises(HyperparametersError, match=f"^{re.escape(message)}$"):
        Hyperparameters.from_config({"epoch": 3})


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("epochs", 0, "Input should be greater than or equal to 1"),
        ("epochs", 1.5, "Input should be a valid integer"),
        ("batch_size", 0, "Input should be greater than or equal to 1"),
        ("learning_rate", 0, "Input should be greater than 0"),
        ("learning_rate", float("nan"), "Input should be a finite number"),
        ("learning_rate", "fast", "Input should be a valid number"),
        ("seed", -1, "Input should be greater than or equal to 0"),
        ("seed", 2**31, "Input should be less than 2147483648"),
        ("early_stopping_patience", 0, "Input should be greater than or equal to 1"),
        ("reduce_lr_patience", 0, "Input should be greater than or equal to 1"),
        ("reduce_lr_factor", 1, "Input should be less than 1"),
        ("backup_dir", 3, "Input should be a valid string"),
    ],
)
def test_a_value_that_is_not_allowed_is_an_error(name: str, value: object, rule: str) -> None:
    message = rf"^hyperparameter '{name}': {rule}.*, received {value!r}$"
    with pytest.raises(HyperparametersError, match=message):
        Hyperparameters.from_config({name: value})


def test_each_error_has_a_line() -> None:
    with pytest.raises(HyperparametersError, match=r"^.*'epochs'.*\n.*'seed'.*$"):
        Hyperparameters.from_config({"epochs": 0, "seed": -1})


def test_hyperparameters_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Hyperparameters().epochs = 3  # type: ignore[misc]
