"""The warm-up requests of the exported model."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from models.features import IMAGE_SHAPE
from models.warm_up import (
    BATCH_SIZES,
    WARM_UP_FILE,
    replay_warm_up_requests,
    sample_image,
    write_warm_up_requests,
)


@pytest.fixture
def saved_model(trained: Path) -> Path:
    return trained / "Format-Serving"


def logs(saved_model: Path) -> list[PredictionLog]:
    records = tf.data.TFRecordDataset(str(saved_model / WARM_UP_FILE)).as_numpy_iterator()
    return [PredictionLog.FromString(record) for record in records]


def test_each_signature_has_a_request_of_each_batch_size(saved_model: Path) -> None:
    found = [
        (log.predict_log.request.model_spec.signature_name, tensor.tensor_shape.dim[0].size)
        for log in logs(saved_model)
        for tensor in log.predict_log.request.inputs.values()
    ]
    signatures = tf.saved_model.load(str(saved_model)).signatures
    assert sorted(found) == sorted((name, size) for name in signatures for size in BATCH_SIZES)


def test_equal_models_have_equal_requests(saved_model: Path, tmp_path: Path) -> None:
    write_warm_up_requests(str(tmp_path))
    assert (tmp_path / WARM_UP_FILE).read_bytes() == (saved_model / WARM_UP_FILE).read_bytes()


def test_images_are_the_sample_image(saved_model: Path) -> None:
    requests = [log.predict_log.request for log in logs(saved_model)]
    by_name = {request.model_spec.signature_name: request for request in requests}
    (png, *_) = tf.make_ndarray(by_name["serving_images"].inputs["images"])
    decoded = np.asarray(Image.open(io.BytesIO(png))).reshape(IMAGE_SHAPE)
    np.testing.assert_array_equal(decoded, sample_image(IMAGE_SHAPE))
    (pixels, *_) = tf.make_ndarray(by_name["predict_images"].inputs["images"])
    np.testing.assert_array_equal(np.round(pixels * 255), decoded)


def test_all_requests_are_replayed(saved_model: Path) -> None:
    called = []

    def recorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(**inputs: Any) -> Any:
            called.append(name)
            return function(**inputs)

        return call

    loaded = tf.saved_model.load(str(saved_model))
    signatures = {name: recorded(name, loaded.signatures[name]) for name in loaded.signatures}
    assert replay_warm_up_requests(saved_model, signatures) == len(called) == len(logs(saved_model))
    assert set(called) == set(signatures)


def test_requests_run_in_a_session_like_in_tensorflow_serving(saved_model: Path) -> None:
    requests = [log.predict_log.request for log in logs(saved_model)]
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(saved_model))
        for request in requests:
            signature = loaded.signature_def[request.model_spec.signature_name]
            outputs = [output.name for output in signature.outputs.values()]
            feeds = {
                signature.inputs[name].name: tf.make_ndarray(tensor)
                for name, tensor in request.inputs.items()
            }
            assert all(np.isfinite(output).all() for output in session.run(outputs, feeds))


def test_a_model_without_requests_is_accepted(tmp_path: Path) -> None:
    assert replay_warm_up_requests(tmp_path, {}) == 0


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    write_warm_up_requests(str(tmp_path))
    content = (tmp_path / WARM_UP_FILE).read_bytes()
    (tmp_path / WARM_UP_FILE).write_bytes(content[:-1])
    signatures = dict.fromkeys(
        ["serving_default", "serving_images", "predict_images", "transform_features"],
        lambda **_: None,
    )
    with pytest.raises(tf.errors.DataLossError):
        replay_warm_up_requests(tmp_path, signatures)


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 48, 3), (1, 1, 1), (2, 3, 3)], ids=str)
def test_sample_image_is_neither_black_nor_white(image_shape: tuple[int, int, int]) -> None:
    image = sample_image(image_shape)
    assert image.shape == image_shape
    assert image.dtype == np.uint8
    assert image.max() == 255
    assert image.min() == 0 or image.size == 1
