"""The training hyperparameters, with their bounds and descriptions.

The command line options, the settings files and the Trainer's `custom_config` are generated from
the fields of `Hyperparameters`. Defaults come from `models.recipes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from models.architectures import ARCHITECTURES
from models.recipes import DEFAULT_RECIPE, RECIPES, Precision, Schedule
from models.validation import Frozen, problems

_DEFAULTS = RECIPES[DEFAULT_RECIPE]


class HyperparametersError(ValueError):
    """Hyperparameters are unknown, malformed or out of range; the message has one line for each."""


def _one_of(kind: str, names: Mapping[str, object]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            known = ", ".join(names)
            raise PydanticCustomError(kind, "expected one of {known}", {"known": known})
        return name

    return AfterValidator(check)


class Hyperparameters(Frozen):
    """Training hyperparameters. Fields without a value get that of the recipe."""

    recipe: Annotated[str, _one_of("recipe", RECIPES)] = Field(
        DEFAULT_RECIPE,
        description=f"Defaults of the training options: {' or '.join(RECIPES)}.",
    )
    architecture: Annotated[str, _one_of("architecture", ARCHITECTURES)] = Field(
        "cnn",
        validate_default=True,
        description=f"Network to train: {' or '.join(ARCHITECTURES)}.",
    )
    epochs: int = Field(_DEFAULTS.epochs, ge=1, description="Train for at most this many epochs.")
    min_steps: int = Field(
        _DEFAULTS.min_steps,
        ge=0,
        description="Train for more epochs if they have fewer than this many steps in total, as "
        "with a small data set. 0 if epochs are given.",
    )
    batch_size: int = Field(_DEFAULTS.batch_size, ge=1, description="Images in one training step.")
    learning_rate: float = Field(
        _DEFAULTS.learning_rate,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Largest Adam learning rate.",
    )
    schedule: Schedule = Field(
        _DEFAULTS.schedule,
        description="Learning rate: cosine decay to zero in the last epoch, or a reduction after "
        "each plateau of the validation accuracy.",
    )
    warmup: float = Field(
        _DEFAULTS.warmup,
        ge=0,
        lt=1,
        description="Share of the training in which the learning rate rises from zero. Only for "
        "the cosine schedule.",
    )
    reduce_lr_patience: int = Field(
        _DEFAULTS.reduce_lr_patience,
        ge=1,
        description="Reduce the learning rate after this many epochs without improvement in "
        "validation accuracy. Only for the plateau schedule.",
    )
    reduce_lr_factor: float = Field(
        _DEFAULTS.reduce_lr_factor,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Factor applied to the learning rate on a plateau.",
    )
    early_stopping_patience: int = Field(
        _DEFAULTS.early_stopping_patience,
        ge=1,
        description="Stop after this many epochs without improvement in validation accuracy.",
    )
    averaging: float = Field(
        _DEFAULTS.averaging,
        ge=0,
        lt=1,
        description="Validate and export an exponential moving average of the weights over about "
        "this share of the training. 0 disables averaging.",
    )
    block_dropout: float = Field(
        _DEFAULTS.block_dropout,
        ge=0,
        lt=1,
        description="Dropout rate after each block of convolutions.",
    )
    dense_dropout: float = Field(
        _DEFAULTS.dense_dropout,
        ge=0,
        lt=1,
        description="Dropout rate after each hidden dense layer.",
    )
    rotation: float = Field(
        _DEFAULTS.rotation,
        ge=0,
        le=180,
        description="Rotate training images by at most this many degrees.",
    )
    zoom: float = Field(
        _DEFAULTS.zoom,
        ge=0,
        lt=1,
        description="Enlarge or reduce height and width of training images by at most this share.",
    )
    shift: float = Field(
        _DEFAULTS.shift,
        ge=0,
        lt=1,
        description="Shift training images by at most this share of their height and width.",
    )
    shear: float = Field(
        _DEFAULTS.shear,
        ge=0,
        lt=1,
        description="Slant training images by at most this shift per pixel of height.",
    )
    precision: Precision = Field(
        _DEFAULTS.precision,
        description="Type of number in the training's computations. auto: bfloat16 if the "
        "processor or GPU computes with it, else float32.",
    )
    seed: int = Field(
        42,
        ge=0,
        lt=2**31,
        description="Seed of the initial weights, dropout, augmentation and shuffling.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_recipe(cls, values: Any) -> Any:
        name = values.get("recipe", DEFAULT_RECIPE)
        if not isinstance(name, str) or name not in RECIPES:
            return values
        defaults = asdict(RECIPES[name])
        if "epochs" in values:
            defaults["min_steps"] = 0
        return {**defaults, **values}


class TrainerConfig(Hyperparameters):
    """The Trainer's `custom_config`: the hyperparameters and the backup directory.

    Attributes:
      backup_dir: directory for the state of unfinished training; "" disables backups.
    """

    backup_dir: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> Self:
        """Parses a `custom_config`. Missing keys get their defaults.

        Raises:
          HyperparametersError: if keys are unknown or out of range; the message lists them all.
        """
        try:
            return cls(**(config or {}))
        except ValidationError as error:
            lines = (f"hyperparameter {problem}" for problem in problems(error))
            raise HyperparametersError("\n".join(lines)) from None
