"""Trains the network: the `run_fn` of a TFX Trainer.

What is reproducible: with the same data, hyperparameters, packages, kind of processor and number
of threads, two trainings end with the same weights, bit for bit, and so does one that was killed
and resumed. With another number of threads, another processor or other packages, sums of floats
are taken in another order, and the weights differ from the first step on. The seconds in the
history and the bytes of the SavedModel's graph differ each time.

TensorFlow's `enable_op_determinism` is not needed for this on a CPU (measured: five processes on
a busy machine ended with the same weights), took 5% more CPU time, and would hold for all later
components in the process, as it cannot be switched off again. XLA, which Keras leaves off on a CPU,
took 3.4 times as long; without oneDNN it was 1.7 times.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from tensorflow_transform.output_wrapper import TFTransformOutput
from tfx.components.trainer.fn_args_utils import FnArgs

from models import input_pipeline
from models.architectures import ARCHITECTURES
from models.backup import BackupAndRestore, backup_key
from models.callbacks import make_callbacks
from models.hyperparameters import HyperparametersError, TrainerConfig
from models.signatures import export_saved_model

__all__ = ["HyperparametersError", "TrainingDivergedError", "run_fn"]

_EVALUATION_BATCH_SIZE = 500


class TrainingDivergedError(ValueError):
    """The loss was infinite or NaN before a first epoch had ended well."""


def run_fn(fn_args: FnArgs) -> None:
    """Trains a network on raw examples, and exports that of the best epoch.

    Reads `train_files` and `eval_files` (patterns of gzipped TFRecord files of raw examples) and
    `transform_graph_path`. Writes the SavedModel to `serving_model_dir`, and the history and
    TensorBoard's logs to `model_run_dir`. After a kill, TensorBoard's logs of the new run begin
    with the epoch at which it resumed; the history has all epochs.

    Args:
      fn_args: `custom_config` has a `TrainerConfig`.

    Raises:
      HyperparametersError: `custom_config` is not valid.
      TrainingDivergedError: there are no finite weights to export.
    """
    parameters = TrainerConfig.from_config(fn_args.custom_config)
    keras.utils.set_random_seed(parameters.seed)
    tft_output = TFTransformOutput(fn_args.transform_graph_path)
    model = ARCHITECTURES[parameters.architecture](parameters, 0)
    backup = _fit(model, tft_output, parameters, fn_args)
    _check_weights(model, parameters)
    export_saved_model(model, tft_output, fn_args.serving_model_dir)
    if backup:
        backup.delete()


def _fit(
    model: keras.Model,
    tft_output: TFTransformOutput,
    parameters: TrainerConfig,
    fn_args: FnArgs,
) -> BackupAndRestore | None:
    """Leaves the model with the weights of its best epoch; returns its backup, to be deleted."""
    train_files = input_pipeline.match_files(fn_args.train_files)
    eval_files = input_pipeline.match_files(fn_args.eval_files)
    callbacks = make_callbacks(parameters, Path(fn_args.model_run_dir))
    backup, first_epoch = None, 0
    if parameters.backup_dir:
        settings = [fn_args.transform_graph_path, parameters.model_dump_json()]
        key = backup_key([*train_files, *eval_files], settings)
        backup = BackupAndRestore(Path(parameters.backup_dir) / key, callbacks)
        first_epoch = backup.first_epoch(parameters.epochs)
        callbacks.append(backup)
    # What Keras prints belongs in the log.
    keras.config.disable_interactive_logging()
    model.fit(
        input_pipeline.training_batches(
            train_files,
            tft_output,
            parameters.batch_size,
            parameters.seed,
            # Keras wants data even if all epochs are done.
            range(min(first_epoch, parameters.epochs - 1), parameters.epochs),
        ),
        validation_data=input_pipeline.evaluation_batches(
            eval_files, tft_output, _EVALUATION_BATCH_SIZE
        ),
        initial_epoch=first_epoch,
        epochs=parameters.epochs,
        steps_per_epoch=-(-input_pipeline.count_examples(train_files) // parameters.batch_size),
        callbacks=callbacks,
        verbose=0,
    )
    return backup


def _check_weights(model: keras.Model, parameters: TrainerConfig) -> None:
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise TrainingDivergedError(
            "the loss became NaN or infinite in the first epoch: lower the learning rate, "
            f"{parameters.learning_rate}"
        )
