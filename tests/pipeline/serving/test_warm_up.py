"""The server replays warm-up requests before a model goes live."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from support.release_fixtures import UNKNOWN_DATA
from support.running_server import RunningServer, free_port, running_server
from support.served_models import (
    SHADES,
    encode,
    push_digits,
    push_model,
    shade_model,
    store_in,
)
from support.tfds_directory import real_digits
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from models.definition import DATASET
from models.digits import familiarity
from models.features import PROBABILITIES
from models.warm_up import WARM_UP_FILE, predict_request, write_requests
from pipeline.serving.live_model import load_live_model
from pipeline.serving.served_model import live_release


class CallCounter(tf.Module):
    """Returns the number of its calls in place of probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def count(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        shape = [tf.size(examples), len(SHADES.class_names)]
        return {PROBABILITIES: tf.fill(shape, self._calls.assign_add(1.0))}


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    model, directory = CallCounter(), tmp_path / "counter"
    tf.saved_model.save(model, str(directory), signatures={"serving_default": model.count})
    return directory


def calls(server: RunningServer) -> float:
    """Number of the model's calls before this one."""
    (row,) = server.predict({"instances": ["anything"]}).json()["predictions"]
    return row[0] - 1


def test_requests_are_replayed_before_the_model_is_ready(counter: Path, tmp_path: Path) -> None:
    push_model(counter, tmp_path / "without")
    write_requests(counter, [predict_request("", examples=[b"1", b"2"])] * 3)
    version = push_model(counter, tmp_path / "with")
    with running_server(tmp_path / "without") as server:
        others = calls(server)
        assert "Replayed" not in server.log()
    with running_server(tmp_path / "with") as server:
        assert calls(server) == others + 3
        log = server.log()
    replayed = log.index(f"Replayed 3 warm-up requests of version {version}.")
    assert replayed < log.index(f"Version {version} is live")


@pytest.mark.parametrize("mistake", ["damaged", "unknown signature", "unknown input"])
def test_a_model_with_invalid_requests_is_served_with_a_warning(
    counter: Path, tmp_path: Path, mistake: str
) -> None:
    signature = "unknown" if mistake == "unknown signature" else "serving_default"
    tensor = "unknown" if mistake == "unknown input" else "examples"
    write_requests(counter, [predict_request(signature, **{tensor: [b"1"]})])
    if mistake == "damaged":
        (counter / WARM_UP_FILE).write_bytes(bytes(100))
    version = push_model(counter, tmp_path)
    with running_server(tmp_path) as server:
        assert server.get("/readyz").text == f"version {version}\n"
        assert calls(server) > 0
        assert f"Version {version} is served, but its warm-up failed: " in server.log()


@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
def test_first_requests_import_no_large_packages(tmp_path: Path) -> None:
    push_digits(tmp_path)
    port = free_port()
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    server = RunningServer(tmp_path, "--grpc-port", str(port), environment=environment)
    picture = encode(real_digits()[0][0].repeat(9, axis=0).repeat(9, axis=1))
    instance = {"b64": base64.b64encode(picture).decode()}
    try:
        server.wait_until(server.responds)
        server.get("/metrics")
        assert "import time:" in server.log()
        before = len(server.log())
        assert server.post("/api/classify", data=picture).ok
        assert server.predict({"signature_name": "pictures", "instances": [instance]}).ok
        assert server.predict({"signature_name": "serving_images", "instances": [instance]}).ok
        pixels = np.zeros((1, *DATASET.image_shape), np.float32)
        request = predict_request("predict_images", images=pixels)
        request.model_spec.name = DATASET.name
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert PredictionServiceStub(channel).Predict(request, 30).outputs["scores"].float_val
        imported = re.findall(r"^import time:.*\| +(\w+)", server.log()[before:], re.MULTILINE)
    finally:
        server.stop()
    assert set(imported) <= {"anyio", "encodings"}, "these take few milliseconds"


@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
def test_picture_preprocessing_is_warmed_up(tmp_path: Path) -> None:
    push_model(shade_model(tmp_path / "model", UNKNOWN_DATA), tmp_path, UNKNOWN_DATA)
    familiarity._examples.cache_clear()
    load_live_model(live_release(store_in(tmp_path)))
    assert familiarity._examples.cache_info().currsize == 1, "the reference images are loaded"


def test_requests_are_part_of_the_release(counter: Path, tmp_path: Path) -> None:
    write_requests(counter, [predict_request("", examples=[b"1"])])
    version = push_model(counter, tmp_path)
    assert WARM_UP_FILE in store_in(tmp_path).read(version).files
