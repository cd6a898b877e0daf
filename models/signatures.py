"""The signatures of the exported SavedModel."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import tensorflow as tf
from tensorflow_transform.output_wrapper import TFTransformOutput
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from models.features import IMAGE, IMAGE_SHAPE, LABEL, NUM_CLASSES, PROBABILITIES, SCORES
from models.preprocessing import normalize_pixels
from models.warm_up import write_warm_up_requests

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma: ITU-R BT.601, as in Pillow and JPEG."""


def _strings(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.string, name=name)


class ServingModel(tf.Module):
    """A trained network and its transform graph, as functions of serialized inputs.

    Args:
      model: trained.
      tft_output: the transform graph that it was trained with.
    """

    def __init__(self, model: keras.Model, tft_output: TFTransformOutput) -> None:
        super().__init__()
        self._network = _frozen(model)
        # As in `tft_output.transform_features_layer()`, which would also be exported as a Keras
        # model. That takes four times as long as the rest of the export.
        loader = SavedModelLoader(tft_output.transform_savedmodel_dir)
        self.transform_graph = vars(loader)  # exports resources, such as vocabularies
        self._transform = loader.apply_transform_model
        raw_spec = tft_output.raw_feature_spec()
        self._image_spec = {IMAGE: raw_spec[IMAGE]}
        self._labeled_spec = {IMAGE: raw_spec[IMAGE], LABEL: raw_spec[LABEL]}

    @tf.function(input_signature=[_strings("examples")], autograph=False)
    def classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies serialized tf.Examples of raw features; only IMAGE is read.

        Args:
          examples: string of shape (batch,).

        Returns:
          PROBABILITIES: float32 of shape (batch, NUM_CLASSES).
        """
        features = self._transform(tf.io.parse_example(examples, self._image_spec))
        return self._classify(features[IMAGE])

    @tf.function(input_signature=[_strings("images")], autograph=False)
    def classify_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies PNG or JPEG images that have the form of the data set's images.

        `DATASET.picture_form` describes this form. Images of any size are accepted, but
        `decode_image` only resizes and pads them. For other pictures, such as photos, use
        `mnist-pipeline predict`, or the endpoint `/api/classify` or the signature `pictures` of
        the project's server: these also run `DATASET.picture_preprocessing`.

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
        return self._classify(normalize_pixels(pixels))

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="images")], autograph=False)
    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies pixel arrays.

        The names match TensorFlow Serving's MNIST example
        (`tensorflow_serving/example/mnist_client.py`). Pixels divided by 255 get exactly the
        probabilities that `classify_examples` returns for the same image.

        Args:
          images: float32 in [0, 1], in a shape that `as_image_batch` accepts.

        Returns:
          SCORES: float32 of shape (batch, NUM_CLASSES).

        Raises:
          tf.errors.InvalidArgumentError: in the graph, as in `as_image_batch`.
        """
        pixels = 255.0 * tf.cast(as_image_batch(images, IMAGE_SHAPE), tf.float64)
        return {SCORES: self._classify(normalize_pixels(pixels))[PROBABILITIES]}

    @tf.function(input_signature=[_strings("examples")], autograph=False)
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs the transform graph on serialized tf.Examples with IMAGE and LABEL.

        Args:
          examples: string of shape (batch,).

        Returns:
          IMAGE: float32 of shape (batch, *IMAGE_SHAPE); LABEL: int64 of shape (batch,).
        """
        features = self._transform(tf.io.parse_example(examples, self._labeled_spec))
        return {IMAGE: features[IMAGE], LABEL: features[LABEL]}

    def _classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        # oneDNN's convolutions fail on an empty batch.
        probabilities = tf.cond(
            tf.size(images) > 0,
            lambda: self._network(images),
            lambda: tf.zeros((0, NUM_CLASSES)),
        )
        return {PROBABILITIES: tf.ensure_shape(probabilities, (None, NUM_CLASSES))}


def _frozen(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the network as one function of images, with its weights as constants.

    oneDNN reorders constant weights once, but variables in each call. TensorFlow Serving can't find
    the variables of Keras models in a `tf.Module`.
    """
    trainable = [variable.numpy() for variable in model.trainable_variables]
    other = [variable.numpy() for variable in model.non_trainable_variables]

    def network(images: tf.Tensor) -> tf.Tensor:
        constants = ([tf.constant(value) for value in values] for values in (trainable, other))
        outputs, _ = model.stateless_call(*constants, images, training=False)
        return outputs

    images = tf.TensorSpec((None, *IMAGE_SHAPE), tf.float32, name=IMAGE)
    return tf.function(network, input_signature=[images], autograph=False)


def as_image_batch(images: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """Checks pixel arrays and reshapes them to (batch, *image_shape).

    Args:
      images: float32 in [0, 1], channels last, of shape (batch, *image_shape) or (batch, n), where
        n is the number of values in an image; also (batch, height, width) for one channel.
      image_shape: height, width and channels.

    Raises:
      tf.errors.InvalidArgumentError: in the graph, for another shape, a value outside [0, 1] or
        NaN.
    """
    with tf.control_dependencies([_check_shape(images, image_shape), _check_range(images)]):
        return tf.reshape(images, (-1, *image_shape))


def _check_shape(images: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Operation:
    accepted = [image_shape, (math.prod(image_shape),)]
    if image_shape[2] == 1:
        accepted.append(image_shape[:2])
    names = [",".join(map(str, shape)) for shape in accepted]
    # Shapes of different ranks can be compared as strings only.
    received = tf.strings.reduce_join(tf.strings.as_string(tf.shape(images)), separator=",")
    expected = " or ".join(f"[batch,{name}]" for name in names)
    return _check(
        tf.strings.regex_full_match(received, rf"\d+,({'|'.join(names)})"),
        lambda: tf.strings.join(
            [f"Expected images of shape {expected}, received [", received, "]"]
        ),
    )


def _check_range(images: tf.Tensor) -> tf.Operation:
    return _check(
        tf.reduce_all((images >= 0) & (images <= 1)),
        lambda: tf.strings.format(
            "Expected pixel values in [0, 1], received {} to {}: divide 8-bit values by 255",
            (tf.reduce_min(images), tf.reduce_max(images)),
        ),
    )


def _check(condition: tf.Tensor, message: Callable[[], tf.Tensor]) -> tf.Operation:
    """Asserts a condition. The message is only computed if the condition is false."""
    return tf.cond(condition, tf.no_op, lambda: tf.debugging.Assert(False, [message()]))


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one PNG or JPEG to IMAGE_SHAPE.

    To reproduce these pixels with another decoder:
      1. Decode to 8 bits in each of red, green, blue and alpha: the high byte of 16-bit values,
         the colors of a palette, JPEG with the accurate integer DCT. EXIF orientation and color
         profiles are ignored.
      2. If IMAGE_SHAPE has one channel: luma = 0.299 red + 0.587 green + 0.114 blue.
      3. Blend with black: multiply by alpha / 255, then round to whole numbers.
      4. Resize to the largest size that fits into IMAGE_SHAPE with the same aspect ratio, by
         bilinear interpolation with antialiasing, and pad with black. The size and the position
         are those of `PIL.ImageOps.pad(image, (width, height), PIL.Image.Resampling.BILINEAR)`;
         a side never shrinks below 1 pixel. Round to whole numbers. Pillow also rounds between its
         horizontal and vertical pass, so that its pixels may differ by 1.

    Rounding is half to even everywhere. An 8-bit image without transparency whose size and channels
    match IMAGE_SHAPE keeps its exact pixels, unless it is a JPEG.

    Args:
      encoded: string scalar.

    Returns:
      float32 of shape IMAGE_SHAPE, whole numbers in [0, 255].

    Raises:
      tf.errors.InvalidArgumentError: in the graph, if the bytes are not an image.
    """
    rgba = tf.cast(
        tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: _opaque(tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")),
            lambda: tf.io.decode_png(encoded, channels=4),
        ),
        tf.float32,
    )
    colors = rgba[..., :3]
    if IMAGE_SHAPE[2] == 1:
        colors = tf.reduce_sum(colors * _LUMA, axis=-1, keepdims=True)
    pixels = tf.round(colors * rgba[..., 3:] / 255.0)
    # Not `tf.ensure_shape`: Grappler then assumes this shape in the other branch, too.
    return tf.cond(
        tf.reduce_all(tf.shape(pixels)[:2] == IMAGE_SHAPE[:2]),
        lambda: tf.reshape(pixels, IMAGE_SHAPE),
        lambda: _resize_and_pad(pixels),
    )


def _resize_and_pad(pixels: tf.Tensor) -> tf.Tensor:
    # tf.image.resize_with_pad computes sizes in float32: some are off by one, and some are 0.
    height, width = tf.unstack(tf.cast(tf.shape(pixels)[:2], tf.float64))
    rows, columns = IMAGE_SHAPE[:2]
    new_height = tf.clip_by_value(tf.round(height / width * columns), 1, rows)
    new_width = tf.clip_by_value(tf.round(width / height * rows), 1, columns)
    size = tf.cast([new_height, new_width], tf.int32)
    top, left = tf.unstack(tf.cast(tf.round(([rows, columns] - size) / 2), tf.int32))
    resized = tf.round(tf.image.resize(pixels, size, antialias=True))
    return tf.image.pad_to_bounding_box(resized, top, left, rows, columns)


def export_saved_model(model: keras.Model, tft_output: TFTransformOutput, directory: str) -> None:
    """Writes a SavedModel that can be served without Keras and without this package.

    The methods of `ServingModel` become its signatures `serving_default`, `serving_images`,
    `predict_images` and `transform_features`. Warm-up requests for each of them are included.

    Args:
      model: trained.
      tft_output: the transform graph that it was trained with.
      directory: target directory, `serving_model_dir` in TFX's FnArgs.
    """
    serving = ServingModel(model, tft_output)
    tf.saved_model.save(
        serving,
        directory,
        signatures={
            "serving_default": serving.classify_examples,
            "serving_images": serving.classify_images,
            "predict_images": serving.predict_images,
            "transform_features": serving.transform_features,
        },
    )
    write_warm_up_requests(directory)


def _opaque(rgb: tf.Tensor) -> tf.Tensor:
    return tf.pad(rgb, [[0, 0], [0, 0], [0, 1]], constant_values=255)
