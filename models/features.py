"""Names, shapes and dtypes of the features, derived from the data definition.

ExampleGen writes the raw features, and the network reads the transformed ones. ExampleGen also
writes DATASET.image_statistics, float32 scalars in [0, 1] that the schema bounds. Neither the model
nor the server uses them.
"""

import math

from models.definition import DATASET

IMAGE_SHAPE = DATASET.image_shape
"""Image shape: height, width, channels."""

IMAGE_BYTES = math.prod(IMAGE_SHAPE)
"""Length of a raw image: one uint8 per value, row by row, channels last."""

CLASS_NAMES = DATASET.class_names
"""Class names, indexed by label."""

NUM_CLASSES = len(CLASS_NAMES)

IMAGE = "image"
"""Raw: bytes, IMAGE_BYTES long. Transformed: float32 of IMAGE_SHAPE, in [0, 1]."""

LABEL = "label"
"""int64 scalar, 0 to NUM_CLASSES - 1, raw and transformed."""

PROBABILITIES = "probabilities"
"""Model output: float32 of shape (batch, NUM_CLASSES), where each row sums to 1."""

SCORES = "scores"
"""PROBABILITIES in the signature `predict_images`: the output name that TensorFlow Serving's MNIST
client reads."""
