"""A released model in this process, for the server and for `predict`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.common.provenance import Data
from components.releases.manifest import Release, verified_release
from components.releases.store import ReleaseStore
from models.features import IMAGE, PROBABILITIES
from models.pictures import (
    Predictions,
    Prepared,
    combine_views,
    find_preprocessing,
    prepare_picture,
)

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURE = "serving_default"
_CHUNK = 256
"""Images in one call of the model, so that memory stays bounded."""


class ServedModelError(Exception):
    """There is no release to serve, or it can't be loaded; the message is one line."""


def live_release(store: ReleaseStore) -> Path:
    """Returns the directory of the live version.

    Raises:
      ServedModelError: if there is none.
    """
    version = store.live()
    if version is None:
        raise ServedModelError(
            f"Expected a released model in {store.model_dir}, found none: push one with `make run`."
        )
    return store.versions()[version]


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Discards what TensorFlow's C++ code prints while a model loads, whatever its settings.

    Everything else on standard error is lost meanwhile; a log handler needs its own descriptor.
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
    """A SavedModel in memory; any number of threads may use it at once.

    Attributes:
      version: of the release.
      release: its manifest; None if another tool has pushed it.
      data: the facts about its data; today's `models.definition.DATASET` if it has no manifest.
      signatures: functions of tensors by name, such as `serving_default`.
    """

    def __init__(self, loaded: Any, version: int, release: Release | None) -> None:
        self._loaded = loaded  # The signatures alone would not keep the weights alive.
        self.version = version
        self.release = release
        self.data = release.data if release else Data(source=None, fingerprint=None, counts={})
        self.signatures: Mapping[str, Callable[..., Any]] = loaded.signatures
        self._prefix = _example_prefix(math.prod(self.data.image_shape))

    @classmethod
    def load(cls, path: Path) -> ServedModel:
        """Verifies and loads a release, and runs it once, because the first call is slow.

        Args:
          path: the version's directory.

        Raises:
          ManifestError: if its files don't match its manifest.
          ServedModelError: if it can't be loaded, or this code can't prepare pictures for it.
        """
        import tensorflow as tf

        release = verified_release(path)
        try:
            model = cls(tf.saved_model.load(str(path)), int(path.name), release)
            model.predict(np.zeros((1, *model.data.image_shape), np.uint8))
            if model.data.picture_preprocessing:
                find_preprocessing(model.data.picture_preprocessing)
        except Exception as error:  # TensorFlow raises many kinds, each of which means the same.
            raise ServedModelError(
                f"The model in {path} can't be loaded: {' '.join(str(error).split())[:300]}"
            ) from error
        return model

    def prepare(self, picture: Image.Image) -> Prepared:
        """Prepares a decoded picture (`models.pictures.prepare_picture`).

        Raises:
          PictureError: if the picture shows nothing.
        """
        return prepare_picture(picture, self.data.image_shape, self.data.picture_preprocessing)

    def combine(
        self, prepared: Sequence[Prepared], probabilities: npt.NDArray[np.float32]
    ) -> Predictions:
        """Combines the predictions for all views of pictures (`models.pictures.combine_views`)."""
        return combine_views(prepared, probabilities, self.data.least_confidence)

    def classify(self, prepared: Sequence[Prepared]) -> Predictions:
        """Classifies prepared pictures, at least one."""
        views = np.concatenate([picture.views for picture in prepared])
        return self.combine(prepared, self.predict(views))

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Classifies images, in calls of at most _CHUNK.

        Args:
          images: shape (n, *data.image_shape), in the form that data.picture_form describes.

        Returns:
          Probabilities, shape (n, len(data.class_names)).
        """
        chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
        probabilities = np.concatenate([self._call(chunk) for chunk in chunks or [images]])
        return probabilities.reshape(len(images), len(self.data.class_names))

    def _call(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        import tensorflow as tf

        examples = [self._prefix + image.tobytes() for image in images]
        outputs = self.signatures[_SIGNATURE](examples=tf.constant(examples, tf.string))
        probabilities: npt.NDArray[np.float32] = outputs[PROBABILITIES].numpy()
        return probabilities


def _example_prefix(image_bytes: int) -> bytes:
    """Serializes a tf.Example of an image, and cuts off the pixels, which come last."""
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(bytes(image_bytes))
    serialized: bytes = example.SerializeToString()
    return serialized[:-image_bytes]
