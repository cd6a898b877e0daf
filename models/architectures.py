"""Network architectures, selected by name.

To add one, write a function like `build_cnn` and register it in ARCHITECTURES. `--architecture`,
settings files and the Trainer then accept the new name. The builder receives the hyperparameters
and the total number of training steps, for use in a learning rate schedule. It must return a
compiled Keras model, Sequential or functional, with

  - one input: float32 images of shape (batch, *IMAGE_SHAPE) in [0, 1];
  - one output: float32 probabilities of shape (batch, NUM_CLASSES), where each row sums to 1;
  - a loss that accepts int64 labels of shape (batch,);
  - the metric `accuracy`, because the best epoch is the one with the highest `val_accuracy`.

The Trainer sets the global seed before it calls the builder. Random layers must come from Keras or
use a `keras.random.SeedGenerator`. The Trainer reseeds them in each epoch, which makes resumed
training identical to uninterrupted training. You are free to choose the layers, nested models,
optimizer, schedule and additional scalar metrics. `reduce_lr_patience` and `reduce_lr_factor` have
no effect on a model with a learning rate schedule.

Keras is imported inside the functions because the command line reads the names and must start fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from models.features import IMAGE, IMAGE_SHAPE, NUM_CLASSES, PROBABILITIES

if TYPE_CHECKING:
    import keras

    from models.hyperparameters import Hyperparameters

Builder = Callable[["Hyperparameters", int], "keras.Model"]
"""Builds a compiled model from the hyperparameters and the total number of training steps."""


def build_cnn(parameters: Hyperparameters, steps: int) -> keras.Model:  # noqa: ARG001 - no schedule
    """Builds a convolutional network (863,082 parameters for MNIST)."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, name=IMAGE),
            *_block(32, convolutions=2),
            *_block(64, convolutions=2),
            *_block(128, convolutions=1),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(NUM_CLASSES, activation="softmax", name=PROBABILITIES),
        ],
        name="cnn",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(parameters.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _block(filters: int, convolutions: int) -> list[keras.Layer]:
    """Returns convolutions that preserve the size, and pooling that halves height and width."""
    from keras import layers

    return [
        *(
            layers.Conv2D(filters, 3, padding="same", activation="relu")
            for _ in range(convolutions)
        ),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
    ]


ARCHITECTURES: dict[str, Builder] = {"cnn": build_cnn}
"""Builders, keyed by the name passed to `--architecture`."""
