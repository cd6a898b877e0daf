"""The training hyperparameters, with their defaults, bounds and descriptions.

The command line options, the settings files and the Trainer's `custom_config` are generated from
the fields of `Hyperparameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from models.architectures import ARCHITECTURES
from models.validation import Frozen, problems


class HyperparametersError(ValueError):
    """Hyperparameters are unknown, malformed or out of range; the message has one line for each."""


class Hyperparameters(Frozen):
    """Training hyperparameters."""

    architecture: str = Field(
        default="cnn",
        validate_default=True,
        description=f"Network to train: {' or '.join(ARCHITECTURES)}.",
    )
    epochs: int = Field(default=10, ge=1, description="Train for at most this many epochs.")
    batch_size: int = Field(default=64, ge=1, description="Images in one training step.")
    learning_rate: float = Field(
        default=0.001, gt=0, lt=1, allow_inf_nan=False, description="Initial Adam learning rate."
    )
    seed: int = Field(
        default=42,
        ge=0,
        lt=2**31,
        description="Seed of the initial weights, dropout and shuffling.",
    )
    early_stopping_patience: int = Field(
        default=3,
        ge=1,
        description="Stop after this many epochs without improvement in validation accuracy.",
    )
    reduce_lr_patience: int = Field(
        default=2,
        ge=1,
        description="Reduce the learning rate after this many epochs without improvement in "
        "validation accuracy.",
    )
    reduce_lr_factor: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Factor applied to the learning rate on a plateau.",
    )

    @field_validator("architecture")
    @classmethod
    def _check_architecture(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise PydanticCustomError("architecture", "expected one of {known}", {"known": known})
        return name


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
