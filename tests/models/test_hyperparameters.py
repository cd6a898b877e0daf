"""Defaults, bounds and error messages of the hyperparameters."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest
from pydantic import ValidationError

from models.architectures import ARCHITECTURES
from models.hyperparameters import Hyperparameters, HyperparametersError, TrainerConfig
from models.recipes import RECIPES


@pytest.mark.parametrize("config", [None, {}])
def test_missing_keys_get_the_documented_defaults(config: dict[str, object] | None) -> None:
    assert TrainerConfig.from_config(config).model_dump() == {
        "recipe": "augmented",
        "architecture": "cnn",
        "seed": 42,
        "backup_dir": "",
        **asdict(RECIPES["augmented"]),
    }


def test_the_notebooks_recipe_is_unchanged() -> None:
    """The values of the notebook, and no technique that it did not use."""
    assert Hyperparameters(recipe="notebook").model_dump() == {
        "recipe": "notebook",
        "architecture": "cnn",
        "epochs": 10,
        "min_steps": 0,
        "batch_size": 64,
        "learning_rate": 0.001,
        "schedule": "plateau",
        "warmup": 0,
        "reduce_lr_patience": 2,
        "reduce_lr_factor": 0.5,
        "monitor": "val_accuracy",
        "early_stopping_patience": 3,
        "exported_epoch": "best",
        "averaging": 0,
        "block_dropout": 0.25,
        "dense_dropout": 0.5,
        "rotation": 0,
        "zoom": 0,
        "shift": 0,
        "shear": 0,
        "precision": "float32",
        "seed": 42,
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_values_of_each_recipe_are_valid(recipe: str) -> None:
    parameters = Hyperparameters(recipe=recipe).model_dump()
    assert parameters.items() >= asdict(RECIPES[recipe]).items()


def test_a_value_overrides_that_of_the_recipe() -> None:
    parameters = Hyperparameters(recipe="notebook", epochs=2)
    assert (parameters.epochs, parameters.batch_size) == (2, 64)


def test_given_epochs_are_not_exceeded() -> None:
    assert Hyperparameters().min_steps > 0
    assert Hyperparameters(epochs=2).min_steps == 0
    assert Hyperparameters(epochs=2, min_steps=5).min_steps == 5


def test_an_unknown_recipe_is_an_error_that_lists_the_known_ones() -> None:
    message = rf"recipe: expected one of {', '.join(RECIPES)}, received 'fast'$"
    with pytest.raises(HyperparametersError, match=message):
        TrainerConfig.from_config({"recipe": "fast"})


@pytest.mark.parametrize("recipe", [["augmented"], {}, None, 3])
def test_a_recipe_that_is_not_a_name_is_an_error(recipe: object) -> None:
    with pytest.raises(HyperparametersError, match=r"recipe: Input should be a valid string"):
        TrainerConfig.from_config({"recipe": recipe})


def test_values_override_the_defaults() -> None:
    config = TrainerConfig.from_config({"epochs": 2, "backup_dir": "backups"})
    assert (config.epochs, config.backup_dir) == (2, "backups")


def test_each_hyperparameter_has_a_description() -> None:
    descriptions = [field.description or "" for field in Hyperparameters.model_fields.values()]
    assert all(re.match(r"[A-Z].*\.$", description) for description in descriptions)


def test_only_backup_dir_is_not_a_hyperparameter() -> None:
    assert set(TrainerConfig.model_fields) - set(Hyperparameters.model_fields) == {"backup_dir"}


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("epochs", 0, "Input should be greater than or equal to 1"),
        ("epochs", 1.5, "Input should be a valid integer"),
        ("batch_size", 0, "Input should be greater than or equal to 1"),
        ("learning_rate", 0, "Input should be greater than 0"),
        ("learning_rate", 1, "Input should be less than 1"),
        ("learning_rate", float("nan"), "Input should be a finite number"),
        ("learning_rate", float("inf"), "Input should be a finite number"),
        ("learning_rate", "fast", "Input should be a valid number"),
        ("seed", -1, "Input should be greater than or equal to 0"),
        ("seed", 2**31, "Input should be less than 2147483648"),
        ("early_stopping_patience", 0, "Input should be greater than or equal to 1"),
        ("reduce_lr_patience", 0, "Input should be greater than or equal to 1"),
        ("reduce_lr_factor", 1, "Input should be less than 1"),
        ("schedule", "linear", "Input should be 'cosine' or 'plateau'"),
        ("precision", "half", "Input should be 'auto', 'bfloat16' or 'float32'"),
        ("warmup", -1, "Input should be greater than or equal to 0"),
        ("averaging", -1, "Input should be greater than or equal to 0"),
        ("block_dropout", 1, "Input should be less than 1"),
        ("dense_dropout", 1, "Input should be less than 1"),
        ("rotation", 181, "Input should be less than or equal to 180"),
        ("zoom", 1, "Input should be less than 1"),
        ("shift", -0.1, "Input should be greater than or equal to 0"),
        ("shear", 1, "Input should be less than 1"),
        ("backup_dir", 3, "Input should be a valid string"),
    ],
)
def test_a_value_out_of_range_is_an_error(name: str, value: object, rule: str) -> None:
    message = rf"^hyperparameter {name}: {rule}.*, received {value!r}$"
    with pytest.raises(HyperparametersError, match=message):
        TrainerConfig.from_config({name: value})


def test_the_smallest_and_the_largest_seed_are_valid() -> None:
    assert [Hyperparameters(seed=seed).seed for seed in (0, 2**31 - 1)] == [0, 2**31 - 1]


def test_an_unknown_hyperparameter_is_an_error() -> None:
    with pytest.raises(HyperparametersError, match=r"^hyperparameter epoch: Extra inputs are not"):
        TrainerConfig.from_config({"epoch": 3})


def test_an_unknown_architecture_is_an_error_that_lists_the_known_ones() -> None:
    message = rf"architecture: expected one of {', '.join(ARCHITECTURES)}, received 'transformer'$"
    with pytest.raises(HyperparametersError, match=message):
        TrainerConfig.from_config({"architecture": "transformer"})


def test_a_registered_architecture_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "transformer", ARCHITECTURES["cnn"])
    assert Hyperparameters(architecture="transformer").architecture == "transformer"


def test_each_problem_is_reported_on_its_own_line() -> None:
    with pytest.raises(HyperparametersError, match=r"^.* epochs:.*\n.* seed:.*$"):
        TrainerConfig.from_config({"epochs": 0, "seed": -1})


def test_hyperparameters_are_immutable() -> None:
    with pytest.raises(ValidationError, match="Instance is frozen"):
        Hyperparameters().epochs = 3  # type: ignore[misc]
