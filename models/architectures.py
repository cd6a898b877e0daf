"""The networks to choose from, by name.

To add one, write a function like `build_cnn` and add an entry to ARCHITECTURES: `--architecture`,
settings files and the Trainer accept the new name. The function gets the hyperparameters and the
number of training steps, in case its learning rate follows a schedule. It must return a compiled
Keras model, Sequential or functional,

  - from one input, float32 images of shape (batch, *IMAGE_SHAPE) in [0, 1],
  - to one output, float32 probabilities of shape (batch, NUM_CLASSES), rows that sum to 1,
  - whose loss takes int64 labels of shape (batch,),
  - with the metric `accuracy`, because the best epoch is the one with the highest `val_accuracy`.

The Trainer sets the global seed before it calls the function. Random layers should be those of
Keras, or use a `keras.random.SeedGenerator`: the Trainer reseeds these in each epoch, so that a
resumed training equals an uninterrupted one. Everything else is free: layers, nested models,
optimizer, schedule, further metrics that are single numbers. `reduce_lr_patience` and
`reduce_lr_factor` have no effect on a model with a learning rate schedule.

Keras is imported inside the functions: the command line reads the names and must start fast.
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
    """Builds a convolutional network; for MNIST, it has 863,082 parameters."""
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
    """Convolutions that keep the size, then half the height and width."""
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
"""The builders, by the name that `--architecture` takes."""
