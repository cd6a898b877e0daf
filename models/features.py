"""Names, shapes and dtypes of the features, in one place.

The raw features are what ExampleGen writes; the transformed ones are what the network reads.
Fork the pipeline for another data set by starting here.
"""

import math

IMAGE_SIDE = 28
"""Height and width of an image, in pixels."""

IMAGE_SHAPE = (IMAGE_SIDE, IMAGE_SIDE, 1)
"""Shape of one image: height, width, channels."""

IMAGE_BYTES = math.prod(IMAGE_SHAPE)
"""Length of a raw image: one uint8 per pixel, row by row, ink high (255) on paper (0)."""

NUM_CLASSES = 10
"""Classes: the digits 0 to 9, by their own value."""

IMAGE = "image"
"""Raw: bytes, IMAGE_BYTES long. Transformed: float32 of IMAGE_SHAPE, in [0, 1]."""

LABEL = "label"
"""int64 scalar, 0 to NUM_CLASSES - 1, raw and transformed."""

# Raw only. Image bytes are opaque to TFDV, so these describe them for the schema to bound;
# the model never reads them, and serving does not need them.
MEAN_INTENSITY = "mean_intensity"
"""float32 scalar in [0, 1]: mean of the pixels over 255."""

INK_FRACTION = "ink_fraction"
"""float32 scalar in [0, 1]: share of the pixels that are inked (at least INK_LEVEL)."""

BORDER_INK_FRACTION = "border_ink_fraction"
"""float32 scalar in [0, 1]: share of the outermost ring of pixels that is inked."""

INK_LEVEL = 128
"""A pixel of this uint8 value or more counts as inked."""

PROBABILITIES = "probabilities"
"""Output of the model: float32 of shape (batch, NUM_CLASSES), rows that sum to 1."""
