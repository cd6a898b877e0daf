"""Trains the network: the `run_fn` of a TFX Trainer.

What is reproducible: on the same machine, with the same packages, data and hyperparameters, two
trainings give the same weights, bit by bit, and so does one that was killed and resumed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow_transform as tft
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from tfx.components.trainer.fn_args_utils import FnArgs

from models import dataset
from models.architecture import build_model
from models.backup import BackupAndRestore, backup_key
from models.callbacks import EpochSeeds, HistoryWriter, ProgressLogger
from models.signatures import export_saved_model

_EVALUATION_BATCH_SIZE = 500

_logger = logging.getLogger(__name__)


class HyperparametersError(ValueError):
    """A hyperparameter is unknown, malformed or out of range; the message has a line for each."""


class TrainingDivergedError(ValueError):
    """The loss became infinite or NaN before any epoch had ended."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Hyperparameters:
    """What a training can be told: the Trainer's `custom_config`.

    Attributes:
      epochs: to train for at most.
      batch_size: images in one step.
      learning_rate: of Adam, at first.
      seed: of weights, dropout and shuffling.
      early_stopping_patience: epochs without a better validation accuracy that end the training.
      reduce_lr_patience: epochs without a better one that reduce the learning rate.
      reduce_lr_factor: what the learning rate is then multiplied by.
      backup_dir: where a training's state is kept until it has ended; "": nowhere.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    early_stopping_patience: Annotated[int, Field(ge=1)] = 3
    reduce_lr_patience: Annotated[int, Field(ge=1)] = 2
    reduce_lr_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    backup_dir: str = ""

    @classmethod
    def from_config(cls, config: dict[str, Any] | None) -> Hyperparameters:
        """Reads a Trainer's `custom_config`; what it leaves out has its default.

        Raises:
          HyperparametersError: for a key that is unknown or a value that is not allowed.
        """
        try:
            return cls(**(config or {}))
        except ValidationError as error:
            raise HyperparametersError("\n".join(map(_describe, error.errors()))) from None


def run_fn(fn_args: FnArgs) -> None:
    """Trains a network on raw examples, and exports that of the best epoch.

    Reads `train_files` and `eval_files` (patterns of gzipped TFRecord files of raw examples) and
    `transform_graph_path`. Writes the SavedModel to `serving_model_dir`; the history and
    TensorBoard's logs to `model_run_dir`.

    Args:
      fn_args: `custom_config` has the `Hyperparameters`.

    Raises:
      HyperparametersError: `custom_config` is not valid.
      TrainingDivergedError: there are no finite weights to export.
    """
    parameters = Hyperparameters.from_config(fn_args.custom_config)
    tft_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    model = build_model(parameters.seed, parameters.learning_rate)
    backup = _train(model, parameters, tft_output, fn_args)
    export_saved_model(model, tft_output, fn_args.serving_model_dir)
    if backup:
        backup.delete()


def _train(
    model: keras.Model,
    parameters: Hyperparameters,
    tft_output: tft.TFTransformOutput,
    fn_args: FnArgs,
) -> BackupAndRestore | None:
    """Fits the model and leaves it with its best weights."""
    train_files = dataset.match_files(fn_args.train_files)
    eval_files = dataset.match_files(fn_args.eval_files)
    run_dir = Path(fn_args.model_run_dir)
    early_stopping = keras.callbacks.EarlyStopping(
        "val_accuracy",
        mode="max",
        patience=parameters.early_stopping_patience,
        restore_best_weights=True,
    )
    reduce_lr = keras.callbacks.ReduceLROnPlateau(
        "val_accuracy",
        mode="max",
        patience=parameters.reduce_lr_patience,
        factor=parameters.reduce_lr_factor,
    )
    history = HistoryWriter(run_dir, early_stopping)
    callbacks = [
        EpochSeeds(parameters.seed),
        keras.callbacks.TerminateOnNaN(),
        early_stopping,
        reduce_lr,
        keras.callbacks.TensorBoard(str(run_dir), write_graph=False),
        history,
        ProgressLogger(),
    ]
    backup = None
    first_epoch = 0
    if parameters.backup_dir:
        settings = [str(fn_args.transform_graph_path), json.dumps(asdict(parameters))]
        key = backup_key([*train_files, *eval_files], settings)
        directory = Path(parameters.backup_dir) / key
        backup = BackupAndRestore(directory, early_stopping, reduce_lr, history)
        callbacks.append(backup)
        first_epoch = backup.first_epoch(parameters.epochs)
    steps = -(-dataset.count_examples(train_files) // parameters.batch_size)
    keras.config.disable_interactive_logging()
    model.fit(
        dataset.training_batches(
            train_files,
            tft_output,
            parameters.batch_size,
            parameters.seed,
            range(min(first_epoch, parameters.epochs - 1), parameters.epochs),
        ),
        validation_data=dataset.evaluation_batches(
            eval_files, tft_output, _EVALUATION_BATCH_SIZE
        ),
        initial_epoch=first_epoch,
        epochs=parameters.epochs,
        steps_per_epoch=steps,
        callbacks=callbacks,
        verbose=0,
    )
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise TrainingDivergedError(
            "Expected finite weights, received NaN or infinity in the first epoch: lower the "
            f"learning rate ({parameters.learning_rate}) or check the images"
        )
    return backup


def _describe(error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "unexpected_keyword_argument":
        known = ", ".join(Hyperparameters.__dataclass_fields__)
        return f"Unknown hyperparameter {name!r}: use one of {known}"
    return f"Hyperparameter {name!r}: {error['msg']}, received {error['input']!r}"
