"""A released model in memory, for the server and for `predict`."""

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
"""Largest number of images in one call of the model, to limit memory use."""


class ServedModelError(Exception):
    """There is no release, or it can't be loaded. The message is one line."""


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
    """Discards the output of TensorFlow's C++ code while a model loads.

    All other output on standard error is also discarded, unless it uses another file descriptor.
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
    """A SavedModel in memory. Methods are thread-safe.

    Attributes:
      version: version of the release.
      release: the manifest; None if another tool pushed the version.
      data: facts about the data, from the manifest, else from `models.definition.DATASET`.
      signatures: the model's signatures by name, such as `serving_default`.
    """

    def __init__(self, loaded: Any, version: int, release: Release | None) -> None:
        self._loaded = loaded  # Keeps the weights in memory, which the signatures don't.
        self.version = version
        self.release = release
        self.data = release.data if release else Data(source=None, fingerprint=None, counts={})
        self.signatures: Mapping[str, Callable[..., Any]] = loaded.signatures
        self._prefix = _example_prefix(math.prod(self.data.image_shape))

    @classmethod
    def load(cls, path: Path) -> ServedModel:
        """Verifies and loads a release, then runs it once, because the first call is slow.

        Args:
          path: directory of the version.

        Raises:
          ManifestError: if the files don't match the manifest.
          ServedModelError: if the model can't be loaded, or its preprocessing doesn't exist.
        """
        import tensorflow as tf

        release = verified_release(path)
        try:
            model = cls(tf.saved_model.load(str(path)), int(path.name), release)
            model.predict(np.zeros((1, *model.data.image_shape), np.uint8))
            if model.data.picture_preprocessing:
                find_preprocessing(model.data.picture_preprocessing)
        except Exception as error:  # TensorFlow raises many types.
            raise ServedModelError(
                f"The model in {path} can't be loaded: {' '.join(str(error).split())[:300]}"
            ) from error
        return model

    def prepare(self, picture: Image.Image) -> Prepared:
        """Prepares a decoded picture (`models.pictures.prepare_picture`).

        Raises:
          PictureError: if the preprocessing rejects the picture, such as a blank one.
        """
        return prepare_picture(picture, self.data.image_shape, self.data.picture_preprocessing)

    def combine(
        self, prepared: Sequence[Prepared], probabilities: npt.NDArray[np.float32]
    ) -> Predictions:
        """Combines the predictions for all views of pictures (`models.pictures.combine_views`)."""
        return combine_views(prepared, probabilities, self.data.least_confidence)

    def classify(self, prepared: Sequence[Prepared]) -> Predictions:
        """Classifies one or more prepared pictures."""
        views = np.concatenate([picture.views for picture in prepared])
        return self.combine(prepared, self.predict(views))

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Classifies images, at most _CHUNK per call of the model.

        Args:
          images: shape (n, *data.image_shape), in the form described by data.picture_form.

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
    """Serializes a tf.Example of an image without the pixels, which come last."""
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(bytes(image_bytes))
    serialized: bytes = example.SerializeToString()
    return serialized[:-image_bytes]
