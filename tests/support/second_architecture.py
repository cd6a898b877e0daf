"""A second architecture, with features that the pipeline's own architecture does not use.

Nested models, random augmentation, batch normalization, a learning rate schedule, another
optimizer, an additional metric and custom layer names.
"""

from __future__ import annotations

import keras
from keras import layers

from models.features import IMAGE_SHAPE, NUM_CLASSES
from models.hyperparameters import Hyperparameters


def build_second(parameters: Hyperparameters, steps: int) -> keras.Model:
    """Builds and compiles a small network with augmentation and cosine decay over all steps."""
    augmentation = keras.Sequential(
        [
            layers.RandomTranslation(0.05, 0.05),
            keras.Sequential([layers.RandomRotation(0.02), layers.GaussianNoise(0.05)]),
        ]
    )
    body = keras.Sequential(
        [
            layers.Conv2D(8, 3, strides=2, use_bias=False),
            layers.BatchNormalization(momentum=0.5),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.25),
        ]
    )
    inputs = keras.Input(IMAGE_SHAPE, name="pixels")
    outputs = layers.Dense(NUM_CLASSES, activation="softmax")(body(augmentation(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(parameters.learning_rate, steps), momentum=0.9
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2")],
    )
    return model
