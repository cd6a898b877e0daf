"""Network architectures, selected by name.

To add one, write a function like `build_cnn` and register it in ARCHITECTURES. `--architecture`,
settings files and the Trainer then accept the new name. The builder receives the hyperparameters.
It must return a Keras model, Sequential or functional, with

  - one input: float32 images of shape (batch, *IMAGE_SHAPE) in [0, 1];
  - one output: float32 probabilities of shape (batch, NUM_CLASSES), where each row sums to 1. The
    last layer needs `dtype="float32"`, because the Trainer may set a policy of lower precision.

The Trainer calls the builder twice with the same seed: for the network that it trains, and for a
network in float32 that gets the trained weights and is exported. It compiles the model with the
optimizer of the hyperparameters (`models.optimization`). Random layers must come from Keras or use
a `keras.random.SeedGenerator`. The Trainer reseeds them in each epoch, which makes resumed training
identical to uninterrupted training.

Keras is imported inside the functions because the command line reads the names and must start fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from models.features import IMAGE, IMAGE_SHAPE, NUM_CLASSES, PROBABILITIES

if TYPE_CHECKING:
    import keras

    from models.hyperparameters import Hyperparameters

Builder = Callable[["Hyperparameters"], "keras.Model"]
"""Builds a network from the hyperparameters."""


def build_cnn(parameters: Hyperparameters) -> keras.Model:
    """Builds a convolutional network (863,082 parameters for MNIST)."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, name=IMAGE),
            *_block(32, 2, parameters.block_dropout),
            *_block(64, 2, parameters.block_dropout),
            *_block(128, 1, parameters.block_dropout),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(parameters.dense_dropout),
            layers.Dense(256, activation="relu"),
            layers.Dropout(parameters.dense_dropout),
            layers.Dense(NUM_CLASSES, activation="softmax", dtype="float32", name=PROBABILITIES),
        ],
        name="cnn",
    )


def _block(filters: int, convolutions: int, dropout: float) -> list[keras.Layer]:
    """Returns convolutions that preserve the size, and pooling that halves height and width."""
    from keras import layers

    return [
        *(
            layers.Conv2D(filters, 3, padding="same", activation="relu")
            for _ in range(convolutions)
        ),
        layers.MaxPooling2D(),
        layers.Dropout(dropout),
    ]


ARCHITECTURES: dict[str, Builder] = {"cnn": build_cnn}
"""Builders, keyed by the name passed to `--architecture`."""
