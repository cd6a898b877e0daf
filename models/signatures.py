"""What the exported model can be asked: its SavedModel signatures."""

from __future__ import annotations

import keras
import tensorflow as tf
from tensorflow_transform.output_wrapper import TFTransformOutput

from models.features import IMAGE, IMAGE_SHAPE, LABEL, NUM_CLASSES, PROBABILITIES
from models.preprocessing import normalise_pixels

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the lightness of a pixel: ITU-R BT.601, as PNG and JPEG use."""


def _strings(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.string, name=name)


class ServingModel(tf.Module):
    """A trained network with the transform graph, as functions of serialized inputs.

    Args:
      model: trained.
      tft_output: the transform graph that it was trained behind.
    """

    def __init__(self, model: keras.Model, tft_output: TFTransformOutput) -> None:
        super().__init__()
        # Without the optimizer, whose state would be two thirds of what is written.
        self.network = keras.Model(model.inputs, model.outputs)
        self.transform = tft_output.transform_features_layer()
        raw_spec = tft_output.raw_feature_spec()
        self._image_spec = {IMAGE: raw_spec[IMAGE]}
        self._labelled_spec = {IMAGE: raw_spec[IMAGE], LABEL: raw_spec[LABEL]}

    @tf.function(input_signature=[_strings("examples")], autograph=False)
    def classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies serialized tf.Examples of raw features, of which only IMAGE is read.

        Args:
          examples: string of shape (batch,).

        Returns:
          PROBABILITIES: float32 of shape (batch, NUM_CLASSES).
        """
        features = self.transform(tf.io.parse_example(examples, self._image_spec))
        return self._classify(features[IMAGE])

    @tf.function(input_signature=[_strings("images")], autograph=False)
    def classify_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies encoded images: PNG or JPEG, of any size and colour, ink light on dark.

        Args:
          images: string of shape (batch,).

        Returns:
          PROBABILITIES: float32 of shape (batch, NUM_CLASSES).
        """
        pixels = tf.map_fn(
            decode_image,
            images,
            fn_output_signature=tf.TensorSpec(IMAGE_SHAPE, tf.float32),
        )
        return self._classify(normalise_pixels(pixels))

    @tf.function(input_signature=[_strings("examples")], autograph=False)
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs the transform graph on serialized tf.Examples that have IMAGE and LABEL.

        Args:
          examples: string of shape (batch,).

        Returns:
          IMAGE: float32 of shape (batch, *IMAGE_SHAPE); LABEL: int64 of shape (batch,).
        """
        features = self.transform(tf.io.parse_example(examples, self._labelled_spec))
        return {IMAGE: features[IMAGE], LABEL: features[LABEL]}

    def _classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        # oneDNN's convolutions refuse an empty batch.
        probabilities = tf.cond(
            tf.size(images) > 0,
            lambda: self.network(images, training=False),
            lambda: tf.zeros((0, NUM_CLASSES)),
        )
        return {PROBABILITIES: tf.ensure_shape(probabilities, (None, NUM_CLASSES))}


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one PNG or JPEG to the size that the network reads.

    Colours become their lightness, transparent parts become black (as paper is in MNIST), and an
    image that is not square is padded with black, so that the digit keeps its proportions. An
    8-bit grayscale image of the height and width of IMAGE_SHAPE keeps exactly its pixels.

    Args:
      encoded: string scalar.

    Returns:
      float32 of shape (*IMAGE_SHAPE), in [0, 255].

    Raises:
      tf.errors.InvalidArgumentError: in the graph, if it is not an image.
    """
    rgba = tf.cast(
        tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: _opaque(tf.io.decode_jpeg(encoded, channels=3)),
            lambda: tf.io.decode_png(encoded, channels=4),
        ),
        tf.float32,
    )
    lightness = tf.reduce_sum(rgba[..., :3] * _LUMA, axis=-1, keepdims=True)
    pixels = tf.round(lightness * rgba[..., 3:] / 255.0)
    return tf.image.resize_with_pad(pixels, *IMAGE_SHAPE[:2], antialias=True)


def export_saved_model(model: keras.Model, tft_output: TFTransformOutput, directory: str) -> None:
    """Writes a SavedModel that needs neither Keras nor this package to be served.

    Its signatures are `serving_default`, `serving_images` and `transform_features`: the functions
    of `ServingModel`.

    Args:
      model: trained.
      tft_output: the transform graph that it was trained behind.
      directory: to write to; TFX gives it as `fn_args.serving_model_dir`.
    """
    serving = ServingModel(model, tft_output)
    tf.saved_model.save(
        serving,
        directory,
        signatures={
            "serving_default": serving.classify_examples,
            "serving_images": serving.classify_images,
            "transform_features": serving.transform_features,
        },
    )


def _opaque(rgb: tf.Tensor) -> tf.Tensor:
    return tf.pad(rgb, [[0, 0], [0, 0], [0, 1]], constant_values=255)
