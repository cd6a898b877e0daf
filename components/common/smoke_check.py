"""Loads a model as a server would, and runs it on a few examples."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models.features import IMAGE, IMAGE_SHAPE, NUM_CLASSES, PROBABILITIES, SCORES
from models.tf_data import without_autotuning
from models.warm_up import replay_warm_up_requests

SMOKE_EXAMPLES = 16

_DEFAULT = "serving_default"
_TOLERANCE = 1e-3
_REASON_CHARACTERS = 400
_BATCH_SIZE = 500


class UnusableModelError(Exception):
    """The model can't be served. The message is one line without a final period."""


def read_examples(split_uri: str, count: int = SMOKE_EXAMPLES) -> list[bytes]:
    """Reads up to `count` serialized tf.Examples from a split of gzipped TFRecord files."""
    files = sorted(tf.io.gfile.glob(f"{split_uri}/*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").take(count)
    return list(without_autotuning(records).as_numpy_iterator())


def check_predictions(model_dir: Path, examples: Sequence[bytes]) -> None:
    """Loads a SavedModel and runs its default signature, in batches.

    Args:
      model_dir: directory of the SavedModel.
      examples: serialized raw tf.Examples, at least one.

    Raises:
      UnusableModelError: if the model fails to load or run, or doesn't return NUM_CLASSES finite
        probabilities that sum to 1 for each example.
    """
    signatures = _load(model_dir).signatures
    for start in range(0, len(examples), _BATCH_SIZE):
        _predict(signatures, examples[start : start + _BATCH_SIZE])


def check_model(model_dir: Path, examples: Sequence[bytes]) -> None:
    """Loads a SavedModel and runs all of its signatures and its warm-up requests.

    Args:
      model_dir: directory of the SavedModel.
      examples: serialized raw tf.Examples with IMAGE and LABEL, at least one.

    Raises:
      UnusableModelError: as in `check_predictions`; also if another signature of
        `models.signatures.ServingModel` fails or returns other probabilities for the same images,
        or if a warm-up request fails.
    """
    model = _load(model_dir)
    expected = _predict(model.signatures, examples)
    for name, (inputs, output) in _requests(examples).items():
        if name not in model.signatures:
            continue
        with _one_line(f"signature {name} fails"):
            received = model.signatures[name](**inputs)[output].numpy()
        if output != IMAGE:
            _check_equal(name, received, expected)
    with _one_line("a warm-up request fails"):
        replay_warm_up_requests(model_dir, model.signatures)


def _load(model_dir: Path) -> Any:
    with _one_line("it can't be loaded"):
        return tf.saved_model.load(str(model_dir))


def _predict(
    signatures: Mapping[str, Callable[..., Any]], examples: Sequence[bytes]
) -> npt.NDArray[np.float32]:
    with _one_line(f"signature {_DEFAULT} fails"):
        outputs = signatures[_DEFAULT](examples=tf.constant(list(examples)))
        probabilities: npt.NDArray[np.float32] = outputs[PROBABILITIES].numpy()
    _check_probabilities(probabilities, len(examples))
    return probabilities


def _requests(examples: Sequence[bytes]) -> dict[str, tuple[dict[str, tf.Tensor], str]]:
    """Returns the inputs with these examples, and the output to check, by signature."""
    spec = {IMAGE: tf.io.FixedLenFeature([], tf.string)}
    images = tf.io.parse_example(tf.constant(list(examples)), spec)[IMAGE]
    pixels = tf.reshape(tf.io.decode_raw(images, tf.uint8), (-1, *IMAGE_SHAPE))
    pngs = tf.stack([tf.io.encode_png(image) for image in pixels])
    return {
        "serving_images": ({"images": pngs}, PROBABILITIES),
        "predict_images": ({"images": tf.cast(pixels, tf.float32) / 255.0}, SCORES),
        "transform_features": ({"examples": tf.constant(list(examples))}, IMAGE),
    }


def _check_probabilities(outputs: npt.NDArray[np.float32], examples: int) -> None:
    expected = (examples, NUM_CLASSES)
    if outputs.shape != expected:
        raise UnusableModelError(
            f"it must return probabilities of shape {expected}, received {outputs.shape}"
        )
    if not (np.isfinite(outputs).all() and (outputs >= 0).all()):
        raise UnusableModelError(
            "it must return finite probabilities of at least 0, received "
            f"{outputs.min()} to {outputs.max()}"
        )
    sums = outputs.sum(axis=1)
    if not np.allclose(sums, 1.0, atol=_TOLERANCE):
        raise UnusableModelError(
            "it must return probabilities that sum to 1, received sums from "
            f"{sums.min()} to {sums.max()}"
        )


def _check_equal(
    name: str, received: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]
) -> None:
    same_shape = received.shape == expected.shape
    if not (same_shape and np.allclose(received, expected, rtol=0, atol=_TOLERANCE)):
        raise UnusableModelError(
            f"signature {name} must return the probabilities that {_DEFAULT} returns for the same "
            "images"
        )


@contextmanager
def _one_line(problem: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # TensorFlow raises many types; all of them are fatal here.
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", _REASON_CHARACTERS)
        raise UnusableModelError(f"{problem} ({reason})") from error
