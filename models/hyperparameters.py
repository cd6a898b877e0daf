"""What a training can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails


class HyperparametersError(ValueError):
    """A hyperparameter is unknown, malformed or out of range; the message has a line for each."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Hyperparameters:
    """The `custom_config` of a Trainer.

    Attributes:
      epochs: to train for at most.
      batch_size: images in one step.
      learning_rate: of Adam, at first.
      seed: of weights, dropout and shuffling.
      early_stopping_patience: epochs without a better validation accuracy that end the training.
      reduce_lr_patience: epochs without a better one that reduce the learning rate.
      reduce_lr_factor: what the learning rate is then multiplied by.
      backup_dir: where the state of an unfinished training is kept; "": nowhere.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.001
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    early_stopping_patience: Annotated[int, Field(ge=1)] = 3
    reduce_lr_patience: Annotated[int, Field(ge=1)] = 2
    reduce_lr_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    backup_dir: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> Hyperparameters:
        """Reads a `custom_config`; what it leaves out has its default.

        Raises:
          HyperparametersError: for a key that is unknown or a value that is not allowed.
        """
        try:
            return cls(**(config or {}))
        except ValidationError as error:
            raise HyperparametersError("\n".join(map(_describe, error.errors()))) from None


def _describe(error: ErrorDetails) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "unexpected_keyword_argument":
        known = ", ".join(field.name for field in fields(Hyperparameters))
        return f"unknown hyperparameter {name!r}: use one of {known}"
    return f"hyperparameter {name!r}: {error['msg']}, received {error['input']!r}"
