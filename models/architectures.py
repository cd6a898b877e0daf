"""The network."""

from __future__ import annotations

import keras
from keras import layers

from models.features import IMAGE, IMAGE_SHAPE, NUM_CLASSES, PROBABILITIES


def build_model(seed: int, learning_rate: float = 0.001) -> keras.Model:
    """Builds and compiles a convolutional network of 863,082 parameters.

    Sets the global seeds of Python, NumPy and TensorFlow, from which Keras draws those of the
    initial weights and of dropout.

    Args:
      seed: two models of the same seed start with the same weights and drop the same units.
      learning_rate: of Adam.

    Returns:
      A compiled model, from float32 images of shape (batch, *IMAGE_SHAPE) in [0, 1] to float32
      probabilities of shape (batch, NUM_CLASSES), rows that sum to 1. Its loss and its accuracy
      compare them with int64 labels of shape (batch,).
    """
    keras.utils.set_random_seed(seed)
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
        name="mnist",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _block(filters: int, convolutions: int) -> list[keras.Layer]:
    """Convolutions that keep the size, then half the height and width."""
    return [
        *(
            layers.Conv2D(filters, 3, padding="same", activation="relu")
            for _ in range(convolutions)
        ),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
    ]
