"""Real SavedModels for the tests of the server, and pushes of them."""

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
from models.features import IMAGE, PROBABILITIES
from support.release_fixtures import UNKNOWN_DATA, no_check, release_facts
from support.small_trainings import real_digits, train, write_data, write_transform_graph

ACCURACY = 0.9421
SHADES = Data(
    source="made up",
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
"""A data set that is not DATASET, whatever that is; `shade_model` classifies it."""

_COUNT = itertools.count(1)
_SHARPNESS = 30.0


@functools.cache
def trained_digits() -> Path:
    """A SavedModel of our network that knows most digits of MNIST; made once, in some 25 s."""
    directory = Path(tempfile.mkdtemp(prefix="trained-digits-"))
    write_transform_graph(directory / "transform_graph")
    write_data(directory, real_digits(), 4500)
    return train(directory, directory, epochs=3, batch_size=32, seed=1) / "Format-Serving"


class ShadeModel(tf.Module):
    """Classifies images by their brightness, from black to white, whatever their shape.

    Its signatures read the same inputs as those of our network.
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

    def _classify(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        brightness = tf.reduce_mean(pixels, axis=[1, 2, 3])[:, tf.newaxis] / 255
        return {PROBABILITIES: tf.nn.softmax(-_SHARPNESS * (brightness - self._centers) ** 2)}


class ConstantModel(tf.Module):
    """Predicts one class for everything; with signatures of other kinds than our network's."""

    def __init__(self, label: int, classes: int) -> None:
        super().__init__()
        self._answer = tf.one_hot(label, classes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def classify(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PROBABILITIES: tf.tile(self._answer[tf.newaxis], [tf.size(examples), 1])}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, name="x"),
            tf.TensorSpec([None], tf.int64, name="n"),
        ]
    )
    def scale(self, x: tf.Tensor, n: tf.Tensor) -> dict[str, tf.Tensor]:
        """Fails for a negative `n`."""
        with tf.control_dependencies([tf.debugging.assert_non_negative(n, "n is negative")]):
            scaled = x * tf.cast(n, tf.float32)[:, tf.newaxis]
        return {"scaled": scaled, "text_bytes": tf.strings.as_string(n)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    def double(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"doubled": 2.0 * x}


def shade_model(directory: Path, data: Data = SHADES) -> Path:
    """Writes a SavedModel that classifies images of this shape by their brightness."""
    model = ShadeModel(data)
    signatures = {
        "serving_default": model.classify_examples,
        "serving_images": model.classify_images,
    }
    tf.saved_model.save(model, str(directory), signatures=signatures)
    return directory


def constant_model(directory: Path, label: int, classes: int = len(SHADES.class_names)) -> Path:
    """Writes a SavedModel that predicts this class for everything."""
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
    """Pushes as the Pusher does, with these facts about the data.

    The model gets one more file, so that it differs from the newest release.

    Returns:
      The version.
    """
    facts = release_facts(metrics={"accuracy": accuracy}, data=data)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "model"
        shutil.copytree(saved_model, source)
        (source / "assets").mkdir(exist_ok=True)
        (source / "assets" / "number.txt").write_text(str(next(_COUNT)))
        return store_in(serving_dir).push(source, facts, no_check).version


def push_digits(serving_dir: Path) -> int:
    """Pushes `trained_digits`, and returns the version."""
    return push_model(trained_digits(), serving_dir, UNKNOWN_DATA)


def store_in(serving_dir: Path) -> ReleaseStore:
    """The releases that our commands read."""
    return ReleaseStore(serving_dir / DATASET.name)


def shades(count: int, shape: Sequence[int] = SHADES.image_shape) -> np.ndarray:
    """Images from black to white, each of one shade: uint8 of shape (count, *shape)."""
    levels = np.linspace(0, 255, count).round().astype(np.uint8)
    return np.tile(levels.reshape(-1, 1, 1, 1), (1, *shape))


def example(image: np.ndarray) -> bytes:
    """A serialized tf.Example of an image."""
    made = tf.train.Example()
    made.features.feature[IMAGE].bytes_list.value.append(image.tobytes())
    return made.SerializeToString()


def encode(image: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    """A picture file; of an image of shape (height, width, channels), or of Pillow's."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
