"""Trains a network: the `run_fn` of the TFX Trainer.

Training is reproducible bit for bit, even if it is killed and resumed, given the same data,
hyperparameters, packages, processor type and number of threads. A different processor, number of
threads or package version changes the order in which floats are summed, and the processor type can
change the precision, so the weights differ from the first step. The `seconds` in the history and
the bytes of the SavedModel's graph always differ.

TensorFlow's `enable_op_determinism` is unnecessary on a CPU: five processes on a busy machine
produced the same weights without it. It took 5% more CPU time, and it can't be disabled again for
components that run later in the same process. XLA, which Keras leaves off on a CPU, took 3.4 times
as long, and disabling oneDNN took 1.7 times as long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from tensorflow_transform.output_wrapper import TFTransformOutput
from tfx.components.trainer.fn_args_utils import FnArgs

from models import input_pipeline
from models.architectures import ARCHITECTURES
from models.augmentation import augments, write_samples
from models.backup import BackupAndRestore, backup_key
from models.callbacks import make_callbacks
from models.features import NUM_CLASSES
from models.hyperparameters import HyperparametersError, TrainerConfig
from models.optimization import compile_model
from models.precision import choose_precision
from models.progress import AUGMENTED_FILE
from models.signatures import export_saved_model

__all__ = ["ArchitectureError", "HyperparametersError", "TrainingDivergedError", "run_fn"]


_SAMPLES = 4


class ArchitectureError(ValueError):
    """A builder returned a model that can't be trained, gated or exported."""


class TrainingDivergedError(ValueError):
    """The loss became infinite or NaN in the first epoch."""


def run_fn(fn_args: FnArgs) -> None:
    """Trains a network on raw examples and exports the weights of the best or the last epoch.

    Reads `train_files` and `eval_files` (glob patterns of gzipped TFRecord files of raw examples)
    and `transform_graph_path`. Writes the SavedModel to `serving_model_dir`, and the history, the
    TensorBoard logs and AUGMENTED_FILE to `model_run_dir`. If training was resumed, the history
    contains all epochs, but the TensorBoard logs start at the epoch where it resumed.

    Args:
      fn_args: its `custom_config` contains the fields of a `TrainerConfig`.

    Raises:
      HyperparametersError: if `custom_config` is invalid.
      ArchitectureError: if the model breaks the contract of `models.architectures`.
      TrainingDivergedError: if there are no finite weights to export.
    """
    config = TrainerConfig.from_config(fn_args.custom_config)
    keras.config.disable_interactive_logging()  # Logs Keras's output instead of printing it.
    tft_output = TFTransformOutput(fn_args.transform_graph_path)
    train_files = input_pipeline.match_files(fn_args.train_files)
    eval_files = input_pipeline.match_files(fn_args.eval_files)
    count = input_pipeline.count_examples(train_files)
    steps = math.ceil(count / config.batch_size)
    epochs = max(config.epochs, math.ceil(config.min_steps / steps))
    config = config.model_copy(
        update={
            "epochs": epochs,
            "early_stopping_patience": config.early_stopping_patience * epochs // config.epochs,
            "reduce_lr_patience": config.reduce_lr_patience * epochs // config.epochs,
            "precision": choose_precision(config.precision),
        }
    )
    directory = Path(fn_args.model_run_dir)
    model = _build_network(config, config.precision)
    compile_model(model, config, config.epochs * steps)
    callbacks = make_callbacks(config, directory)
    files = [*train_files, *eval_files]
    backup = _make_backup(config, files, fn_args.transform_graph_path, callbacks)
    first_epoch = backup.first_epoch(config.epochs) if backup else 0
    if augments(config):
        images = input_pipeline.first_images(train_files, _SAMPLES, tft_output)
        write_samples(images, config, directory / AUGMENTED_FILE)
    # `fit` requires data even if no epochs remain.
    remaining = range(min(first_epoch, config.epochs - 1), config.epochs)
    model.fit(
        input_pipeline.training_batches(train_files, count, tft_output, config, remaining),
        validation_data=input_pipeline.evaluation_batches(eval_files, tft_output),
        initial_epoch=first_epoch,
        epochs=config.epochs,
        steps_per_epoch=steps,
        callbacks=[*callbacks, backup] if backup else callbacks,
        verbose=0,
    )
    _check_weights(model, config)
    exported = _build_network(config, "float32")
    exported.set_weights(model.get_weights())
    export_saved_model(exported, tft_output, fn_args.serving_model_dir)
    if backup:
        backup.delete()


def _build_network(config: TrainerConfig, precision: str) -> keras.Model:
    """Builds a network that computes in `precision` and keeps its weights in float32."""
    # Keras derives the seeds of initializers and of layers such as Dropout from Python's `random`.
    keras.utils.set_random_seed(config.seed)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        model = ARCHITECTURES[config.architecture](config)
    finally:
        keras.config.set_dtype_policy(previous)
    outputs = [(output.shape, output.dtype) for output in getattr(model, "outputs", ())]
    expected = [((None, NUM_CLASSES), "float32")]
    if outputs != expected:
        raise ArchitectureError(
            f"architecture {config.architecture}: expected a Sequential or functional model whose "
            f"outputs are {expected}, received {outputs}"
        )
    return model


def _make_backup(
    config: TrainerConfig,
    files: Sequence[str],
    transform_graph: str,
    callbacks: Sequence[keras.callbacks.Callback],
) -> BackupAndRestore | None:
    if not config.backup_dir:
        return None
    key = backup_key(files, [transform_graph, config.model_dump_json()])
    return BackupAndRestore(Path(config.backup_dir) / key, callbacks)


def _check_weights(model: keras.Model, config: TrainerConfig) -> None:
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise TrainingDivergedError(
            "the loss became NaN or infinite in the first epoch; lower the learning rate from "
            f"{config.learning_rate}"
        )
