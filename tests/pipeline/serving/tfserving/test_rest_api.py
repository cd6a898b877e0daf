"""A client written for TensorFlow Serving finds here what it knows."""

from __future__ import annotations

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
import tensorflow as tf
from PIL import Image
from support.running_server import RunningServer
from support.served_models import trained_model
from support.small_trainings import real_digits, serialize

PREDICT = "/v1/models/mnist:predict"


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return real_digits()[0][-20:, :, :, 0]


@pytest.fixture(scope="module")
def examples(digits: np.ndarray) -> list[bytes]:
    return [serialize(digit, 0) for digit in digits]


@pytest.fixture(scope="module")
def expected(examples: list[bytes]) -> np.ndarray:
    """What the SavedModel itself answers."""
    signature = tf.saved_model.load(str(trained_model())).signatures["serving_default"]
    return signature(examples=tf.constant(examples))["probabilities"].numpy()


@pytest.fixture(scope="module")
def version(server: RunningServer) -> str:
    return server.get("/api/model").json()["version"]


def error(response: Any) -> tuple[int, str]:
    body = response.json()
    assert list(body) == ["error"]
    assert response.headers["content-type"] == "application/json"
    return response.status_code, body["error"]


def test_rows_are_answered_as_by_the_saved_model(
    server: RunningServer, examples: list[bytes], expected: np.ndarray
) -> None:
    response = server.predict({"instances": [b64(example) for example in examples]})
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["predictions"]
    np.testing.assert_allclose(response.json()["predictions"], expected, atol=1e-6)


def test_columns_are_answered_as_outputs(
    server: RunningServer, examples: list[bytes], expected: np.ndarray
) -> None:
    response = server.predict({"inputs": {"examples": [b64(example) for example in examples]}})
    assert list(response.json()) == ["outputs"]
    np.testing.assert_allclose(response.json()["outputs"], expected, atol=1e-6)


def test_images_have_a_signature_of_their_own(
    server: RunningServer, digits: np.ndarray, expected: np.ndarray
) -> None:
    instances = [{"images": b64(png(digit))} for digit in digits]
    response = server.predict({"signature_name": "serving_images", "instances": instances})
    np.testing.assert_allclose(response.json()["predictions"], expected, atol=1e-6)


def test_several_outputs_are_named(server: RunningServer, digits: np.ndarray) -> None:
    rows = {"signature_name": "transform_features", "instances": [b64(serialize(digits[0], 7))]}
    (row,) = server.predict(rows).json()["predictions"]
    assert row["label"] == 7
    np.testing.assert_allclose(np.array(row["image"])[:, :, 0], digits[0] / 255, atol=1e-6)
    columns = {"signature_name": "transform_features", "inputs": rows["instances"]}
    assert server.predict(columns).json()["outputs"] == {"label": [7], "image": [row["image"]]}


def test_several_inputs_of_other_types_are_read(other_server: RunningServer) -> None:
    rows = [{"x": [1.5, 2], "n": 2}, {"x": [0, -1], "n": 2**40}]
    response = other_server.predict({"signature_name": "scale", "instances": rows})
    assert response.json()["predictions"] == [
        {"scaled": [3.0, 4.0], "text_bytes": b64(b"2")},
        {"scaled": [0.0, -(2.0**40)], "text_bytes": b64(b"1099511627776")},
    ]


def test_signature_without_a_batch_takes_columns(other_server: RunningServer) -> None:
    response = other_server.predict({"signature_name": "double", "inputs": 21})
    assert response.json() == {"outputs": 42.0}


def test_content_type_does_not_matter(server: RunningServer, examples: list[bytes]) -> None:
    body = json.dumps({"instances": [b64(examples[0])]})
    for content_type in ("application/x-www-form-urlencoded", "text/plain", ""):
        response = server.post(PREDICT, data=body, headers={"Content-Type": content_type})
        assert response.status_code == 200


def test_versions_are_asked_by_their_number(
    server: RunningServer, examples: list[bytes], version: str
) -> None:
    body = {"instances": [b64(examples[0])]}
    response = server.post(f"/v1/models/mnist/versions/{version}:predict", json=body)
    assert response.json() == server.predict(body).json()
    assert error(server.post("/v1/models/mnist/versions/7:predict", json=body)) == (
        404,
        "Servable not found for request: Specific(mnist, 7)",
    )


def test_status_is_that_of_all_versions_or_of_one(server: RunningServer, version: str) -> None:
    status = {
        "model_version_status": [
            {
                "version": version,
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert server.get("/v1/models/mnist").json() == status
    assert server.get(f"/v1/models/mnist/versions/{version}").json() == status


def test_metadata_is_the_signatures(server: RunningServer, version: str) -> None:
    metadata = server.get("/v1/models/mnist/metadata").json()
    assert metadata["model_spec"] == {"name": "mnist", "signature_name": "", "version": version}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == [
        "__saved_model_init_op",
        "serving_default",
        "serving_images",
        "transform_features",
    ]
    described = signatures["serving_images"]
    assert described["inputs"] == {
        "images": {
            "dtype": "DT_STRING",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
            "name": "serving_images_images:0",
        }
    }
    (output,) = described["outputs"].items()
    assert output[0] == "probabilities"
    assert output[1]["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in output[1]["tensor_shape"]["dim"]] == ["-1", "10"]
    assert described["method_name"] == "tensorflow/serving/predict"
    assert server.get(f"/v1/models/mnist/versions/{version}/metadata").json() == metadata


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/mnist/versions/7", 404, "Could not find version 7 of model mnist"),
        (
            "GET",
            "/v1/models/mnist/versions/7/metadata",
            404,
            "Servable not found for request: Specific(mnist, 7)",
        ),
        (
            "POST",
            f"/v1/models/mnist/versions/{2**63}:predict",
            400,
            f"Failed to convert version: {2**63} to numeric.",
        ),
        (
            "POST",
            "/v1/models/mnist/labels/stable:predict",
            400,
            "Unrecognized servable version label: stable",
        ),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("POST", "/v1/models/mnist", 400, "Malformed request: POST /v1/models/mnist"),
        ("POST", "/v1/models/mnist:ask", 400, "Malformed request: POST /v1/models/mnist:ask"),
        ("GET", PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("DELETE", "/v1/models/mnist", 400, "Malformed request: DELETE /v1/models/mnist"),
        (
            "POST",
            "/v1/models/mnist:classify",
            400,
            (
                "Expected classification signature method_name to be tensorflow/serving/classify. "
                "Was: tensorflow/serving/predict"
            ),
        ),
        (
            "POST",
            "/v1/models/mnist:regress",
            400,
            (
                "Expected regression signature method_name to be tensorflow/serving/regress. "
                "Was: tensorflow/serving/predict"
            ),
        ),
    ],
)
def test_what_is_not_there_is_refused_in_the_same_words(
    server: RunningServer, method: str, path: str, status: int, message: str
) -> None:
    body = {"instances": ["a"]} if method == "POST" else None
    response = requests.request(method, server.url + path, json=body, timeout=30)
    assert error(response) == (status, message)


def test_unknown_signature_is_refused(server: RunningServer) -> None:
    for name in ("other", "__saved_model_init_op"):
        response = server.predict({"signature_name": name, "instances": ["a"]})
        message = f'Serving signature name: "{name}" not found in signature def'
        assert error(response) == (400, message)


def test_model_that_can_not_use_an_input_says_why(server: RunningServer) -> None:
    status, message = error(server.predict({"instances": ["no example"]}))
    assert status == 400
    assert "Could not parse example" in message


def test_neighbours_in_a_batch_do_not_suffer(
    server: RunningServer, examples: list[bytes], expected: np.ndarray
) -> None:
    """Some of many requests at once are bad: these alone fail."""

    def ask(number: int) -> tuple[int, Any]:
        bad = number % 5 == 0
        instance = "no example" if bad else b64(examples[number % len(examples)])
        response = server.predict({"instances": [instance]})
        return response.status_code, response.json()

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(200)))
    for number, (status, body) in enumerate(answers):
        if number % 5 == 0:
            assert (status, list(body)) == (400, ["error"])
        else:
            wanted = expected[number % len(examples)]
            np.testing.assert_allclose(body["predictions"], [wanted], atol=1e-6)
    batches = server.metric("mnist_batch_rows_count")
    assert server.metric("mnist_batch_rows_sum") > batches, "some were run together"


def test_answers_are_counted_by_digit(server: RunningServer, examples: list[bytes]) -> None:
    digit = np.argmax(server.predict({"instances": [b64(examples[0])]}).json()["predictions"][0])
    counted = f'mnist_predictions_total{{digit="{digit}",source="rest"}}'
    before = server.metric(counted)
    server.predict({"instances": [b64(examples[0])] * 3})
    assert server.metric(counted) == before + 3
    assert server.metric('mnist_requests_total{route="predict",status="200"}') > 1
    assert server.metric('mnist_prediction_confidence_count{source="rest"}') >= 4
