"""Real SavedModels for the tests of the server, and pushes of them."""

from __future__ import annotations

import functools
import itertools
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import tensorflow as tf

from components.common.checksums import model_sha256
from components.common.provenance import Data
from components.releases.manifest import FileRecord, Release
from components.releases.store import push
from models.features import NUM_CLASSES, PROBABILITIES
from support.small_trainings import real_digits, train, write_data, write_transform_graph

ACCURACY = 0.9421
_COUNT = itertools.count(1)


@functools.cache
def trained_model() -> Path:
    """A SavedModel of our network that knows most digits; made once, in some 25 s."""
    directory = Path(tempfile.mkdtemp(prefix="trained-model-"))
    write_transform_graph(directory / "transform_graph")
    write_data(directory, real_digits(), 4500)
    return train(directory, directory, epochs=3, batch_size=32, seed=1) / "Format-Serving"


class ConstantModel(tf.Module):
    """Takes everything for one digit; with signatures of other kinds than our network's."""

    def __init__(self, digit: int) -> None:
        super().__init__()
        self._answer = tf.one_hot(digit, NUM_CLASSES)

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


def constant_model(directory: Path, digit: int) -> Path:
    """Writes a SavedModel that takes everything for this digit."""
    model = ConstantModel(digit)
    signatures = {"serving_default": model.classify, "scale": model.scale, "double": model.double}
    tf.saved_model.save(model, str(directory), signatures=signatures)
    return directory


def push_model(saved_model: Path, serving_dir: Path, accuracy: float | None = ACCURACY) -> int:
    """Pushes as the Pusher does, but for what it knows of a run.

    The model gets a file more, so that it is another one than the newest release.

    Returns:
      The version.
    """

    def describe(version: int, now: float, files: Mapping[str, FileRecord]) -> Release:
        return Release(
            model="mnist",
            version=version,
            created=datetime.fromtimestamp(now, timezone.utc),
            model_sha256=model_sha256({name: file.sha256 for name, file in files.items()}),
            metrics={"accuracy": accuracy},
            checks=(),
            data=Data(source=None, fingerprint=None, counts={}),
            git=None,
            packages={},
            ml_metadata={},
            files=dict(files),
        )

    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "model"
        shutil.copytree(saved_model, source)
        (source / "assets").mkdir(exist_ok=True)
        (source / "assets" / "number.txt").write_text(str(next(_COUNT)))
        return push(source, serving_dir / "mnist", describe, check=lambda staging: None).version
