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
from models.recipes import DEFAULT_RECIPE, RECIPES, ExportedEpoch, Metric, Precision, Schedule
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
    """Training hyperparameters. The recipe provides the values of fields that are not set."""

    recipe: Annotated[str, _one_of("recipe", RECIPES)] = Field(
        DEFAULT_RECIPE,
        description="Training recipe, which sets the defaults of the other training options: "
        f"{' or '.join(RECIPES)}.",
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
        description="Minimum number of training steps: a small data set gets more epochs. Default "
        "if epochs are set: 0.",
    )
    batch_size: int = Field(_DEFAULTS.batch_size, ge=1, description="Images in one training step.")
    learning_rate: float = Field(
        _DEFAULTS.learning_rate,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Peak Adam learning rate.",
    )
    schedule: Schedule = Field(
        _DEFAULTS.schedule,
        description="Learning rate schedule: cosine decays to zero over the training, plateau "
        "reduces the rate when the monitored metric plateaus.",
    )
    warmup: float = Field(
        _DEFAULTS.warmup,
        ge=0,
        lt=1,
        description="Fraction of the training in which the learning rate rises from zero. Only for "
        "the cosine schedule.",
    )
    reduce_lr_patience: int = Field(
        _DEFAULTS.reduce_lr_patience,
        ge=1,
        description="Reduce the learning rate after this many epochs without improvement in "
        "the monitored metric; scaled like the patience of early stopping. Only for the plateau "
        "schedule.",
    )
    reduce_lr_factor: float = Field(
        _DEFAULTS.reduce_lr_factor,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Factor applied to the learning rate on a plateau. Only for the plateau "
        "schedule.",
    )
    monitor: Metric = Field(
        _DEFAULTS.monitor,
        description="Validation metric that selects the best epoch, stops training early, and "
        "reduces the rate of the plateau schedule.",
    )
    early_stopping_patience: int = Field(
        _DEFAULTS.early_stopping_patience,
        ge=1,
        description="Stop after this many epochs without improvement in the monitored metric; "
        "scaled with the number of epochs if min_steps raises it.",
    )
    exported_epoch: ExportedEpoch = Field(
        _DEFAULTS.exported_epoch,
        description="Export the weights of the best epoch, or of the last. After an early stop, "
        "the best epoch is always exported.",
    )
    averaging: float = Field(
        _DEFAULTS.averaging,
        ge=0,
        lt=1,
        description="Validate and export an exponential moving average of the weights over about "
        "this fraction of the training. 0 disables averaging.",
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
        description="Scale height and width of training images by at most this fraction.",
    )
    shift: float = Field(
        _DEFAULTS.shift,
        ge=0,
        lt=1,
        description="Shift training images by at most this fraction of their height and width.",
    )
    shear: float = Field(
        _DEFAULTS.shear,
        ge=0,
        lt=1,
        description="Shear training images by at most this many pixels per pixel of height.",
    )
    precision: Precision = Field(
        _DEFAULTS.precision,
        description="Number format of the training. auto chooses bfloat16 if the processor or GPU "
        "has instructions for it, else float32.",
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
