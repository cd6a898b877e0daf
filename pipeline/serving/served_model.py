"""The model that is served, for those that ask it in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.releases.history import served_version
from components.releases.versions import list_versions
from models.features import IMAGE, IMAGE_BYTES, NUM_CLASSES, PROBABILITIES

_SIGNATURE = "serving_default"


class ServedModelError(Exception):
    """There is no release to serve, or it can't be loaded; the message is one line."""


def served_release(model_dir: Path) -> Path:
    """The directory of the version that is served (`components.releases.history.served_version`).

    Raises:
      ServedModelError: if there is none.
    """
    version = served_version(model_dir)
    if version is None:
        raise ServedModelError(
            f"Expected a released model in {model_dir}, found none: push one with `make run`."
        )
    return list_versions(model_dir)[version]


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Sends what TensorFlow's C++ code says while it is loaded, whatever its settings, nowhere.

    What others print on standard error meanwhile is lost; a handler of logs must have a copy.
    """
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


class ServedModel:
    """A SavedModel in memory; any number of threads may ask it at once.

    Attributes:
      version: of the release.
      path: that it was loaded from.
      signatures: functions of tensors by name, such as `serving_default`.
    """

    def __init__(self, loaded: Any, path: Path) -> None:
        self._loaded = loaded  # The signatures alone would not keep the weights alive.
        self._prefix = _example_prefix()
        self.path = path
        self.version = int(path.name)
        self.signatures: Mapping[str, Callable[..., Any]] = loaded.signatures

    @classmethod
    def load(cls, path: Path) -> ServedModel:
        """Loads a release, which takes seconds, and asks it once, as the first answer is slow.

        Args:
          path: the version's directory.

        Raises:
          ServedModelError: if it can't be loaded, or does not answer.
        """
        import tensorflow as tf

        try:
            model = cls(tf.saved_model.load(str(path)), path)
            model.predict(np.zeros((1, 28, 28), np.uint8))
        except Exception as error:  # TensorFlow raises many kinds, each of which means the same.
            raise ServedModelError(
                f"The model in {path} can't be loaded: {' '.join(str(error).split())[:300]}"
            ) from error
        return model

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Classifies images in MNIST's form.

        Args:
          images: shape (n, 28, 28), ink bright on dark.

        Returns:
          Probabilities, shape (n, NUM_CLASSES).
        """
        import tensorflow as tf

        examples = [self._prefix + image.tobytes() for image in images]
        answers = self.signatures[_SIGNATURE](examples=tf.constant(examples, tf.string))
        probabilities: npt.NDArray[np.float32] = answers[PROBABILITIES].numpy()
        return probabilities.reshape(-1, NUM_CLASSES)


def _example_prefix() -> bytes:
    """A serialized tf.Example of an image up to its pixels, which come last."""
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(bytes(IMAGE_BYTES))
    serialized: bytes = example.SerializeToString()
    return serialized[:-IMAGE_BYTES]
