"""Trains the pipeline's network in a plain Keras script, for a comparison of time and accuracy.

    time .venv/bin/python tests/benchmarks/plain_keras.py

The script does the minimum: it loads the whole data set into memory, trains with the pipeline's
default hyperparameters, and prints the test accuracy. It has no data validation, gates, cache,
report or release. Compare its time with the total time of `make run` on the same idle machine. The
accuracy differs slightly, because the validation split and the order of the examples differ.
"""

# ruff: noqa: T201 - prints the result

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow_datasets as tfds

from models.architectures import build_cnn
from models.definition import DATASET
from models.hyperparameters import Hyperparameters


def main() -> None:
    """Trains and prints the accuracy."""
    parameters = Hyperparameters()
    keras.utils.set_random_seed(parameters.seed)
    images, labels = load("train")
    model = build_cnn(parameters, 0)
    history = model.fit(
        images,
        labels,
        batch_size=parameters.batch_size,
        epochs=parameters.epochs,
        validation_split=float(DATASET.validation_share),
        callbacks=[
            keras.callbacks.EarlyStopping(
                "val_accuracy",
                patience=parameters.early_stopping_patience,
                restore_best_weights=True,
            ),
            keras.callbacks.ReduceLROnPlateau(
                "val_accuracy",
                patience=parameters.reduce_lr_patience,
                factor=parameters.reduce_lr_factor,
            ),
        ],
        verbose=2,
    )
    _, accuracy = model.evaluate(*load("test"), verbose=0)
    print(f"{len(history.epoch)} epochs, test accuracy {accuracy:.2%}")


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Loads a split: images float32 of shape (n, *image_shape) in [0, 1], and labels int64."""
    data = tfds.load(
        f"{DATASET.tfds_name}:{DATASET.tfds_version}",
        split=split,
        as_supervised=True,
        batch_size=-1,
    )
    images, labels = tfds.as_numpy(data)
    return images.astype(np.float32) / 255, labels


if __name__ == "__main__":
    main()
