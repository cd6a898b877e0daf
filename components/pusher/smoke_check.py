"""Loads a model before its release, and runs it on a few examples and the warm-up requests."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.releases.writing import PushError
from models import features
from models.definition import DATASET
from models.pictures import check_preprocessing
from models.tf_data import without_autotuning
from models.warm_up import replay_warm_up_requests

SIGNATURE = "serving_default"
_TOLERANCE = 1e-3
_REASON_CHARACTERS = 400


def read_examples(split_uri: str, count: int) -> list[bytes]:
    """Reads up to `count` serialized tf.Examples from a split of gzipped TFRecord files."""
    files = sorted(tf.io.gfile.glob(f"{split_uri}/*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").take(count)
    return list(without_autotuning(records).as_numpy_iterator())


def check_model(model_dir: Path, examples: Sequence[bytes]) -> None:
    """Loads a SavedModel as a server would, and runs its default signature and warm-up requests.

    Args:
      model_dir: directory of the SavedModel.
      examples: serialized raw tf.Examples, at least one.

    Raises:
      PushError: if the model fails to load or run, doesn't return NUM_CLASSES finite
        probabilities that sum to 1 for each example, or has a warm-up request that fails.
    """
    _check_preprocessing()
    if not examples:
        raise PushError("The smoke check needs at least one test example. Nothing was pushed.")
    try:
        model = tf.saved_model.load(str(model_dir))
        outputs = model.signatures[SIGNATURE](examples=tf.constant(list(examples)))
        probabilities = outputs[features.PROBABILITIES].numpy()
        replay_warm_up_requests(model_dir, model.signatures)
    except Exception as error:  # TensorFlow raises many types; all of them are fatal here.
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", _REASON_CHARACTERS)
        raise PushError(f"The model can't be served ({reason}). Nothing was pushed.") from error
    _check_probabilities(probabilities, len(examples))


def _check_preprocessing() -> None:
    """Checks the picture preprocessing, without which a release can't classify pictures."""
    try:
        check_preprocessing(DATASET.image_shape, DATASET.picture_preprocessing)
    except (ImportError, TypeError) as error:
        raise PushError(f"picture_preprocessing: {error} Nothing was pushed.") from error


def _check_probabilities(outputs: npt.NDArray[np.float32], examples: int) -> None:
    expected = (examples, features.NUM_CLASSES)
    if outputs.shape != expected:
        raise PushError(
            f"The model must return probabilities of shape {expected}, received {outputs.shape}. "
            "Nothing was pushed."
        )
    if not (np.isfinite(outputs).all() and (outputs >= 0).all()):
        raise PushError(
            "The model must return finite probabilities of at least 0, received "
            f"{outputs.min()} to {outputs.max()}. Nothing was pushed."
        )
    sums = outputs.sum(axis=1)
    if not np.allclose(sums, 1.0, atol=_TOLERANCE):
        raise PushError(
            "The model must return probabilities that sum to 1, received sums from "
            f"{sums.min()} to {sums.max()}. Nothing was pushed."
        )
