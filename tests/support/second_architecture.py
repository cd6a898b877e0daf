"""A second architecture, with features that the pipeline's own architecture does not use.

Nested models, random layers, batch normalization and custom layer names.
"""

from __future__ import annotations

import keras
from keras import layers

from models.features import IMAGE_SHAPE, NUM_CLASSES
from models.hyperparameters import Hyperparameters


def build_second(parameters: Hyperparameters) -> keras.Model:
    """Builds a small network with random layers."""
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
            layers.Dropout(parameters.block_dropout),
        ]
    )
    inputs = keras.Input(IMAGE_SHAPE, name="pixels")
    classify = layers.Dense(NUM_CLASSES, activation="softmax", dtype="float32")
    return keras.Model(inputs, classify(body(augmentation(inputs))))
