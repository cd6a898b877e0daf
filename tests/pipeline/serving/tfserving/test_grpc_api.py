"""The gRPC API, called with TensorFlow Serving's client stubs."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from support.running_server import RunningServer, free_port, running_server
from support.served_models import SHADES, encode, example, push_model, shades
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from models import warm_up
from models.definition import DATASET

_SECONDS = 30.0
_MAX_BODY = 2**20


class Client:
    """Calls both services on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, signature_name: str, **inputs: Any) -> Any:
        return self.prediction.Predict(predict_request(signature_name, **inputs), _SECONDS)

    def status(self, **spec: Any) -> Any:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = spec.get("name", DATASET.name)
        if "version" in spec:
            request.model_spec.version.value = spec["version"]
        return self.model.GetModelStatus(request, _SECONDS)


def predict_request(signature_name: str, **inputs: Any) -> predict_pb2.PredictRequest:
    request = warm_up.predict_request(signature_name, **inputs)
    request.model_spec.name = DATASET.name
    return request


def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code(), raised.value.details()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Four images of each shade: float32 in [0, 1]."""
    return shades(16).astype(np.float32) / 255


@pytest.fixture(scope="module")
def grpc_server(
    tmp_path_factory: pytest.TempPathFactory, shades_model: Path
) -> Iterator[tuple[RunningServer, Client]]:
    serving_dir = tmp_path_factory.mktemp("grpc")
    push_model(shades_model, serving_dir)
    port = free_port()
    options = ["--grpc-port", str(port), "--max-body-mib", "1", "--max-instances", "20"]
    with running_server(serving_dir, *options) as server:
        yield server, Client(port)


@pytest.fixture
def server(grpc_server: tuple[RunningServer, Client]) -> RunningServer:
    return grpc_server[0]


@pytest.fixture
def client(grpc_server: tuple[RunningServer, Client]) -> Client:
    return grpc_server[1]


def test_mnist_client_of_tensorflow_serving_reads_its_scores(
    client: Client, images: np.ndarray
) -> None:
    """Sends one flat image in each of many concurrent calls, as `mnist_client.py` does."""
    futures = [
        client.prediction.Predict.future(
            predict_request("predict_images", images=image.reshape(1, -1)), _SECONDS
        )
        for image in images
    ]
    scores = np.array([future.result().outputs["scores"].float_val for future in futures])
    assert scores.shape == (len(images), len(SHADES.class_names))
    whole = client.predict("predict_images", images=images)
    np.testing.assert_allclose(scores, tf.make_ndarray(whole.outputs["scores"]), atol=1e-6)
    assert set(scores.argmax(axis=1)) == set(range(len(SHADES.class_names)))


def test_each_signature_returns_the_same_probabilities(client: Client, images: np.ndarray) -> None:
    raw = shades(16)
    scores = client.predict("predict_images", images=images).outputs["scores"]
    for name, inputs in (
        ("", {"examples": [example(image) for image in raw]}),
        ("serving_images", {"images": [encode(image) for image in raw]}),
        ("pictures", {"pictures": [encode(image) for image in raw]}),
    ):
        probabilities = client.predict(name, **inputs).outputs["probabilities"]
        np.testing.assert_allclose(probabilities.float_val, scores.float_val, atol=1e-5)


def test_response_names_the_model_its_version_and_its_signature(
    server: RunningServer, client: Client, images: np.ndarray
) -> None:
    spec = client.predict("predict_images", images=images).model_spec
    assert (spec.name, spec.signature_name) == (DATASET.name, "predict_images")
    assert str(spec.version.value) == server.get("/api/model").json()["version"]


def test_output_filter_selects_outputs(client: Client, images: np.ndarray) -> None:
    request = predict_request("predict_images", images=images)
    request.output_filter.append("scores")
    assert list(client.prediction.Predict(request).outputs) == ["scores"]
    request.output_filter.append("other")
    code, details = failure(lambda: client.prediction.Predict(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "Expected an output_filter of scores, received other"


WRONG = {
    "8-bit values": (np.full((1, 32 * 32 * 3), 255, np.float32), "received 255 to 255: divide"),
    "a missing axis": (np.zeros((1, 32, 32), np.float32), r"received [1,32,32]"),
    "another type": (np.zeros((1, 32 * 32 * 3)), "Expected tensor images of type float"),
    "too many instances": (np.zeros((21, 1), np.float32), "at most 20 instances, received 21"),
    "too many values": (
        tf.make_tensor_proto(0.5, tf.float32, [2**40, 3072]),
        "Expected tensor images of at most 1048576 values",
    ),
    "too few bytes": (
        TensorProto(
            dtype=tf.float32.as_datatype_enum,
            tensor_shape=tf.TensorShape([1, 3072]).as_proto(),
            tensor_content=b"12",
        ),
        "Expected tensor images with the values of its shape",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_tensors_are_invalid_arguments(client: Client, wrong: str) -> None:
    value, message = WRONG[wrong]
    code, details = failure(lambda: client.predict("predict_images", images=value))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in details


def test_instances_are_counted_before_one_string_is_repeated_for_all(client: Client) -> None:
    repeated = TensorProto(dtype=tf.string.as_datatype_enum, string_val=[b"x"])
    repeated.tensor_shape.dim.add(size=2 * _MAX_BODY)
    code, details = failure(lambda: client.predict("serving_images", images=repeated))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 20 instances, received 2097152" in details


def test_strings_need_values(client: Client) -> None:
    empty = TensorProto(dtype=tf.string.as_datatype_enum)
    empty.tensor_shape.dim.add(size=1)
    code, details = failure(lambda: client.predict("serving_images", images=empty))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "Expected tensor images with the values of its shape, received none"


def test_wrong_requests_have_tensorflow_servings_codes(client: Client, images: np.ndarray) -> None:
    request = predict_request("predict_images", images=images)
    request.model_spec.name = "other"
    code, details = failure(lambda: client.prediction.Predict(request))
    assert code is grpc.StatusCode.NOT_FOUND
    assert details == "Servable not found for request: Latest(other)"
    request.model_spec.name = DATASET.name
    request.model_spec.version_label = "stable"
    code, details = failure(lambda: client.prediction.Predict(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "Unrecognized servable version label: stable"
    code, details = failure(lambda: client.predict("other", images=images))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    code, details = failure(lambda: client.predict("predict_images", pixels=images))
    assert details == "Expected the inputs images, received pixels"
    classify = client.prediction.Classify
    code, _ = failure(lambda: classify(classification_pb2.ClassificationRequest()))
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_malformed_messages_are_invalid_arguments(client: Client) -> None:
    call = client.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    code, _ = failure(lambda: call(b"\xff\xff", timeout=_SECONDS))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_large_messages_are_rejected(client: Client) -> None:
    large = np.zeros(_MAX_BODY // 4 + 1, np.float32)
    code, _ = failure(lambda: client.predict("predict_images", images=large))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_invalid_calls_do_not_affect_others(
    server: RunningServer, client: Client, images: np.ndarray
) -> None:
    """Batches that contain an invalid request are split."""

    def label(number: int) -> int:
        image = images[number % len(images)][np.newaxis]
        wrong = number % 5 == 0
        call = client.prediction.Predict.future(
            predict_request("predict_images", images=image + 1.5 if wrong else image), _SECONDS
        )
        if call.code() is grpc.StatusCode.INVALID_ARGUMENT:
            return -1
        return int(np.argmax(call.result().outputs["scores"].float_val))

    whole = tf.make_ndarray(client.predict("predict_images", images=images).outputs["scores"])
    with ThreadPoolExecutor(32) as pool:
        labels = list(pool.map(label, range(200)))
    expected = [
        -1 if number % 5 == 0 else whole[number % len(images)].argmax() for number in range(200)
    ]
    assert labels == expected
    batches = server.metric("serving_batch_rows_count")
    assert server.metric("serving_batch_rows_sum") > batches


def test_metadata_has_the_signatures(server: RunningServer, client: Client) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = DATASET.name
    code, details = failure(lambda: client.prediction.GetModelMetadata(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "Expected the metadata_field signature_def, received none"
    request.metadata_field.append("signature_def")
    response = client.prediction.GetModelMetadata(request)
    assert str(response.model_spec.version.value) == server.get("/api/model").json()["version"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    described = signatures.signature_def["predict_images"]
    assert described.inputs["images"].tensor_shape.unknown_rank
    assert described.inputs["images"].dtype == tf.float32.as_datatype_enum
    sizes = [dim.size for dim in described.outputs["scores"].tensor_shape.dim]
    assert sizes == [-1, len(SHADES.class_names)]


def test_status_of_a_version(server: RunningServer, client: Client) -> None:
    version = int(server.get("/api/model").json()["version"])
    for response in (client.status(), client.status(version=version)):
        (status,) = response.model_version_status
        assert (status.version, status.status.error_message) == (version, "")
        assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert failure(lambda: client.status(version=7)) == (
        grpc.StatusCode.NOT_FOUND,
        f"Could not find version 7 of model {DATASET.name}",
    )


def test_calls_are_counted(server: RunningServer, client: Client, images: np.ndarray) -> None:
    called = 'serving_requests_total{route="grpc_predict",status="OK"}'
    predicted = f'serving_predictions_total{{class="{SHADES.class_names[0]}",source="grpc"}}'
    before = [server.metric(called), server.metric(predicted)]
    client.predict("predict_images", images=images[:1])
    assert [server.metric(called), server.metric(predicted)] == [before[0] + 1, before[1] + 1]
    failure(lambda: client.predict("other", images=images))
    assert server.metric('serving_requests_total{route="grpc_predict",status="INVALID_ARGUMENT"}')


def test_port_is_open_before_the_model_and_until_the_end(
    tmp_path: Path, shades_model: Path, images: np.ndarray
) -> None:
    port = free_port()
    server = RunningServer(tmp_path, "--grpc-port", str(port))
    try:
        server.wait_until(lambda: server.responds("/healthz"))
        client = Client(port)
        assert failure(lambda: client.predict("predict_images", images=images)) == (
            grpc.StatusCode.UNAVAILABLE,
            "No model is loaded yet.",
        )
        push_model(shades_model, tmp_path)
        server.wait_until(server.responds)
        assert client.predict("predict_images", images=images).outputs
        assert f"Serving gRPC on 127.0.0.1:{port}" in server.log()
    finally:
        assert server.stop(signal.SIGINT) == 130


def test_open_calls_finish_before_the_end(tmp_path: Path, shades_model: Path) -> None:
    port = free_port()
    push_model(shades_model, tmp_path)
    with running_server(tmp_path, "--grpc-port", str(port)) as server:
        client = Client(port)
        large = encode(np.zeros((3500, 3500, 3), np.uint8))  # Slow to decode.
        request = predict_request("pictures", pictures=[large])
        calls = [client.prediction.Predict.future(request, _SECONDS) for _ in range(6)]
        calls[0].result()
        server.process.send_signal(signal.SIGTERM)
        assert not all(call.done() for call in calls)
        assert {call.code() for call in calls} == {grpc.StatusCode.OK}
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log()
        assert "ERROR" not in server.log()


def test_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = RunningServer(tmp_path, "--grpc-port", str(taken.getsockname()[1]))
        assert server.process.wait(60) == 1
        (line,) = server.log().splitlines()
        assert "Address already in use. Choose another with --host and --grpc-port." in line
        server.stop()
