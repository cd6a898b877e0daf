"""Creates and pushes SavedModels for the server's tests."""

from __future__ import annotations

import functools
import io
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from components.common.provenance import Data
from components.releases.store import ReleaseStore
from models.definition import DATASET
from models.features import IMAGE, PROBABILITIES, SCORES
from models.signatures import as_image_batch
from support.release_fixtures import UNKNOWN_DATA, checksum, no_check, release_facts
from support.small_trainings import train, write_data, write_transform_graph
from support.tfds_directory import real_digits

ACCURACY = 0.9421
SHADES = Data(
    source="synthetic",
    fingerprint=None,
    counts={},
    title="Shades of color",
    noun="shade",
    image_shape=(32, 32, 3),
    class_names=("black", "dark", "light", "white <b>"),
    picture_form="a picture of one shade",
    picture_preprocessing="",
    least_confidence=0,
)
"""A data set that differs from every DATASET; `shade_model` classifies it."""

_COUNT = itertools.count(1)
_SHARPNESS = 30.0


@functools.cache
def trained_digits() -> Path:
    """Trains the project's network on 4,500 MNIST digits, once per process (about 25 s).

    Returns:
      The directory of the SavedModel.
    """
    directory = Path(tempfile.mkdtemp(prefix="trained-digits-"))
    write_transform_graph(directory / "transform_graph")
    write_data(directory, real_digits(), 4500)
    return train(directory, directory, epochs=3, batch_size=32, seed=1) / "Format-Serving"


class ShadeModel(tf.Module):
    """Classifies images of the data's shape by their brightness, from black to white.

    The signatures have the same inputs as those of the project's network.
    """

    def __init__(self, data: Data) -> None:
        super().__init__()
        self._shape = data.image_shape
        self._centers = tf.constant(np.linspace(0, 1, len(data.class_names)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {IMAGE: tf.io.FixedLenFeature([], tf.string)})
        pixels = tf.io.decode_raw(parsed[IMAGE], tf.uint8)
        return self._classify(tf.reshape(tf.cast(pixels, tf.float32), (-1, *self._shape)))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def classify_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        def decode(image: tf.Tensor) -> tf.Tensor:
            pixels = tf.io.decode_png(image, self._shape[2])
            return tf.image.resize_with_pad(pixels, *self._shape[:2], antialias=True)

        return self._classify(tf.map_fn(decode, images, fn_output_signature=tf.float32))

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="images")])
    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = 255.0 * as_image_batch(images, self._shape)
        return {SCORES: self._classify(pixels)[PROBABILITIES]}

    def _classify(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        brightness = tf.reduce_mean(pixels, axis=[1, 2, 3])[:, tf.newaxis] / 255
        return {PROBABILITIES: tf.nn.softmax(-_SHARPNESS * (brightness - self._centers) ** 2)}


class ConstantModel(tf.Module):
    """Predicts the same class for every input.

    The other signatures have several inputs and outputs, other dtypes and no batch dimension.
    """

    def __init__(self, label: int, classes: int) -> None:
        super().__init__()
        self._probabilities = tf.one_hot(label, classes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def classify(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.tile(self._probabilities[tf.newaxis], [tf.size(examples), 1])
        return {PROBABILITIES: rows}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, name="x"),
            tf.TensorSpec([None], tf.int64, name="n"),
        ]
    )
    def scale(self, x: tf.Tensor, n: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raises an error for a negative `n`."""
        with tf.control_dependencies([tf.debugging.assert_non_negative(n, "n is negative")]):
            scaled = x * tf.cast(n, tf.float32)[:, tf.newaxis]
        return {"scaled": scaled, "text_bytes": tf.strings.as_string(n)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    def double(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"doubled": 2.0 * x}


def shade_model(directory: Path, data: Data = SHADES) -> Path:
    """Writes a ShadeModel as a SavedModel and returns its directory."""
    model = ShadeModel(data)
    signatures = {
        "serving_default": model.classify_examples,
        "serving_images": model.classify_images,
        "predict_images": model.predict_images,
    }
    tf.saved_model.save(model, str(directory), signatures=signatures)
    return directory


def constant_model(directory: Path, label: int, classes: int = len(SHADES.class_names)) -> Path:
    """Writes a ConstantModel as a SavedModel and returns its directory."""
    model = ConstantModel(label, classes)
    signatures = {"serving_default": model.classify, "scale": model.scale, "double": model.double}
    tf.saved_model.save(model, str(directory), signatures=signatures)
    return directory


def push_model(
    saved_model: Path,
    serving_dir: Path,
    data: Data = SHADES,
    accuracy: float | None = ACCURACY,
) -> int:
    """Pushes a model like the Pusher.

    An additional file makes the model different from the newest release.

    Returns:
      The version.
    """
    facts = release_facts(metrics={"accuracy": accuracy}, data=data)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "model"
        shutil.copytree(saved_model, source)
        (source / "assets").mkdir(exist_ok=True)
        (source / "assets" / "number.txt").write_text(str(next(_COUNT)))
        return store_in(serving_dir).push(source, facts, checksum(source), no_check).version


def push_digits(serving_dir: Path) -> int:
    """Pushes `trained_digits` and returns the version."""
    return push_model(trained_digits(), serving_dir, UNKNOWN_DATA)


def store_in(serving_dir: Path) -> ReleaseStore:
    """Returns the release store that the project's commands use."""
    return ReleaseStore(serving_dir / DATASET.name)


def shades(count: int, shape: Sequence[int] = SHADES.image_shape) -> np.ndarray:
    """Creates uniform images from black to white: uint8 of shape (count, *shape)."""
    levels = np.linspace(0, 255, count).round().astype(np.uint8)
    return np.tile(levels.reshape(-1, 1, 1, 1), (1, *shape))


def example(image: np.ndarray) -> bytes:
    """Serializes an image as a tf.Example."""
    message = tf.train.Example()
    message.features.feature[IMAGE].bytes_list.value.append(image.tobytes())
    return message.SerializeToString()


def encode(image: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    """Encodes a Pillow image, or an array of shape (height, width, channels), as a file."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
