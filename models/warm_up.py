"""Warm-up requests: predictions that a server makes before a model goes live.

TensorFlow prepares a signature when it is first called, which would delay the first client.
TensorFlow Serving replays the requests in `assets.extra/tf_serving_warmup_requests`
when it loads a model, and refuses the model if a request fails. The file is a TFRecord of
PredictionLog protos: https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from models.features import IMAGE, IMAGE_SHAPE, LABEL

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
BATCH_SIZES = (1, 8)
"""After these two, the first batch of any other size is not slow."""


def sample_image(image_shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Draws a bright bar on a dark background, which looks like a 1 to MNIST's preprocessing.

    Args:
      image_shape: height, width and channels.
    """
    height, width, _ = image_shape
    image = np.zeros(image_shape, np.uint8)
    image[height // 7 : height - height // 7, width * 3 // 7 : width - width * 3 // 7] = 255
    return image


def write_warm_up_requests(saved_model_dir: str) -> None:
    """Adds requests for each signature of `ServingModel`, in BATCH_SIZES, to a SavedModel.

    Equal code writes equal bytes, so that the checksums of equal models are equal.
    """
    write_requests(
        saved_model_dir,
        (
            predict_request(
                name, **{key: np.repeat(value[np.newaxis], size, 0) for key, value in row.items()}
            )
            for (name, row), size in itertools.product(_inputs().items(), BATCH_SIZES)
        ),
    )


def predict_request(signature_name: str, **inputs: Any) -> PredictRequest:
    """Creates a request from arrays or nested lists, by their names in the signature."""
    request = PredictRequest()
    request.model_spec.signature_name = signature_name
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def write_requests(saved_model_dir: str | Path, requests: Iterable[PredictRequest]) -> None:
    """Writes requests to the WARM_UP_FILE of a SavedModel."""
    path = f"{saved_model_dir}/{WARM_UP_FILE}"
    tf.io.gfile.makedirs(path.rpartition("/")[0])
    with tf.io.TFRecordWriter(path) as writer:
        for request in requests:
            log = PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString(deterministic=True))


def replay_warm_up_requests(
    saved_model_dir: Path, signatures: Mapping[str, Callable[..., Any]]
) -> int:
    """Runs the Predict requests of a SavedModel, which may have none.

    Args:
      saved_model_dir: directory of the SavedModel.
      signatures: its signatures, as loaded by `tf.saved_model.load`.

    Returns:
      The number of requests.

    Raises:
      Exception: of many types, if the file is damaged or a request fails.
    """
    path = saved_model_dir / WARM_UP_FILE
    if not path.exists():
        return 0
    count = 0
    for request in _read(path):
        inputs = {
            name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()
        }
        signatures[request.model_spec.signature_name or "serving_default"](**inputs)
        count += 1
    return count


def _inputs() -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Returns one row of inputs for each signature."""
    image = sample_image(IMAGE_SHAPE)
    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(image.tobytes())
    example.features.feature[LABEL].int64_list.value.append(0)
    examples = {"examples": np.array(example.SerializeToString(deterministic=True), object)}
    return {
        "serving_default": examples,
        "serving_images": {"images": np.array(tf.io.encode_png(image).numpy(), object)},
        "predict_images": {"images": (image / 255).astype(np.float32)},
        "transform_features": examples,
    }


def _read(path: Path) -> Iterator[PredictRequest]:
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = PredictionLog.FromString(record)
        if log.HasField("predict_log"):
            yield log.predict_log.request
