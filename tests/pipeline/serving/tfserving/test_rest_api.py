"""The REST API that clients of TensorFlow Serving expect."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tensorflow as tf
from support.running_server import MODEL, RunningServer
from support.served_models import SHADES, encode, example, shades

from models.definition import DATASET

NAME = DATASET.name
PREDICT = f"{MODEL}:predict"


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return shades(20)


@pytest.fixture(scope="module")
def examples(images: np.ndarray) -> list[bytes]:
    return [example(image) for image in images]


@pytest.fixture(scope="module")
def expected(examples: list[bytes], shades_model: Path) -> np.ndarray:
    """Probabilities from the SavedModel itself."""
    signature = tf.saved_model.load(str(shades_model)).signatures["serving_default"]
    return signature(examples=tf.constant(examples))["probabilities"].numpy()


@pytest.fixture(scope="module")
def version(server: RunningServer) -> str:
    return server.get("/api/model").json()["version"]


def error(response: Any) -> tuple[int, str]:
    body = response.json()
    assert list(body) == ["error"]
    assert response.headers["content-type"] == "application/json"
    return response.status_code, body["error"]


def test_rows_return_the_predictions_of_the_saved_model(
    server: RunningServer, examples: list[bytes], expected: np.ndarray
) -> None:
    response = server.predict({"instances": [b64(example) for example in examples]})
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["predictions"]
    np.testing.assert_allclose(response.json()["predictions"], expected, atol=1e-6)


def test_columns_return_outputs(
    server: RunningServer, examples: list[bytes], expected: np.ndarray
) -> None:
    response = server.predict({"inputs": {"examples": [b64(example) for example in examples]}})
    assert list(response.json()) == ["outputs"]
    np.testing.assert_allclose(response.json()["outputs"], expected, atol=1e-6)


def test_encoded_images_have_their_own_signature(
    server: RunningServer, images: np.ndarray, expected: np.ndarray
) -> None:
    instances = [{"images": b64(encode(image))} for image in images]
    response = server.predict({"signature_name": "serving_images", "instances": instances})
    np.testing.assert_allclose(response.json()["predictions"], expected, atol=1e-6)


@pytest.mark.parametrize("shape", [SHADES.image_shape, (-1,)], ids=str)
def test_pixel_arrays_have_their_own_signature(
    server: RunningServer, images: np.ndarray, expected: np.ndarray, shape: tuple[int, ...]
) -> None:
    """Sends the request of TensorFlow's REST tutorial, with another signature name."""
    pixels = (images / 255.0).reshape(len(images), *shape)
    body = {"signature_name": "predict_images", "instances": pixels.tolist()}
    np.testing.assert_allclose(server.predict(body).json()["predictions"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((2, *SHADES.image_shape), 255), "Expected pixel values in [0, 1], received 255"),
        (np.zeros((1, *SHADES.image_shape[::-1])), "received [1,3,32,32]"),
        (np.zeros(SHADES.image_shape), "received [32,32,3]"),
        (np.zeros((1, 784)), "Expected images of shape [batch,32,32,3] or [batch,3072]"),
    ],
)
def test_pixel_arrays_of_another_range_or_shape_are_rejected(
    server: RunningServer, pixels: np.ndarray, message: str
) -> None:
    body = {"signature_name": "predict_images", "instances": pixels.tolist()}
    status, received = error(server.predict(body))
    assert status == 400
    assert message in received
    assert "{{" not in received, "no graph node names"


def test_pixel_arrays_are_counted_as_predictions(server: RunningServer, images: np.ndarray) -> None:
    counted = f'serving_predictions_total{{class="{SHADES.class_names[0]}",source="rest"}}'
    before = server.metric(counted)
    body = {"signature_name": "predict_images", "instances": (images[:1] / 255).tolist()}
    server.predict(body)
    assert server.metric(counted) == before + 1


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


def test_several_outputs_are_named(other_server: RunningServer) -> None:
    columns = {"signature_name": "scale", "inputs": {"x": [[1, 2]], "n": [3]}}
    assert other_server.predict(columns).json()["outputs"] == {
        "scaled": [[3.0, 6.0]],
        "text_bytes": [b64(b"3")],
    }


def test_content_type_does_not_matter(server: RunningServer, examples: list[bytes]) -> None:
    body = json.dumps({"instances": [b64(examples[0])]})
    for content_type in ("application/x-www-form-urlencoded", "text/plain", ""):
        response = server.post(PREDICT, data=body, headers={"Content-Type": content_type})
        assert response.status_code == 200


def test_versions_are_selected_by_number(
    server: RunningServer, examples: list[bytes], version: str
) -> None:
    body = {"instances": [b64(examples[0])]}
    response = server.post(f"{MODEL}/versions/{version}:predict", json=body)
    assert response.json() == server.predict(body).json()
    assert error(server.post(f"{MODEL}/versions/7:predict", json=body)) == (
        404,
        f"Servable not found for request: Specific({NAME}, 7)",
    )


def test_status_of_all_versions_or_one(server: RunningServer, version: str) -> None:
    status = {
        "model_version_status": [
            {
                "version": version,
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert server.get(MODEL).json() == status
    assert server.get(f"{MODEL}/versions/{version}").json() == status


def test_metadata_describes_the_signatures(server: RunningServer, version: str) -> None:
    metadata = server.get(f"{MODEL}/metadata").json()
    assert metadata["model_spec"] == {"name": NAME, "signature_name": "", "version": version}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == [
        "__saved_model_init_op",
        "pictures",
        "predict_images",
        "serving_default",
        "serving_images",
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
    assert [dim["size"] for dim in output[1]["tensor_shape"]["dim"]] == [
        "-1",
        str(len(SHADES.class_names)),
    ]
    assert described["method_name"] == "tensorflow/serving/predict"
    assert server.get(f"{MODEL}/versions/{version}/metadata").json() == metadata


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", f"{MODEL}/versions/7", 404, f"Could not find version 7 of model {NAME}"),
        (
            "GET",
            f"{MODEL}/versions/7/metadata",
            404,
            f"Servable not found for request: Specific({NAME}, 7)",
        ),
        (
            "POST",
            f"{MODEL}/versions/{2**63}:predict",
            400,
            f"Failed to convert version: {2**63} to numeric.",
        ),
        (
            "POST",
            f"{MODEL}/labels/stable:predict",
            400,
            "Unrecognized servable version label: stable",
        ),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("POST", MODEL, 400, f"Malformed request: POST {MODEL}"),
        ("POST", f"{MODEL}:other", 400, f"Malformed request: POST {MODEL}:other"),
        ("GET", PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("DELETE", MODEL, 400, f"Malformed request: DELETE {MODEL}"),
        (
            "POST",
            f"{MODEL}:classify",
            400,
            (
                "Expected classification signature method_name to be tensorflow/serving/classify. "
                "Was: tensorflow/serving/predict"
            ),
        ),
        (
            "POST",
            f"{MODEL}:regress",
            400,
            (
                "Expected regression signature method_name to be tensorflow/serving/regress. "
                "Was: tensorflow/serving/predict"
            ),
        ),
    ],
)
def test_invalid_requests_get_the_errors_of_tensorflow_serving(
    server: RunningServer, method: str, path: str, status: int, message: str
) -> None:
    body = {"instances": ["a"]} if method == "POST" else None
    response = requests.request(method, server.url + path, json=body, timeout=30)
    assert error(response) == (status, message)


def test_unknown_signature_is_rejected(server: RunningServer) -> None:
    for name in ("other", "__saved_model_init_op"):
        response = server.predict({"signature_name": name, "instances": ["a"]})
        message = f'Serving signature name: "{name}" not found in signature def'
        assert error(response) == (400, message)


def test_errors_of_the_model_are_returned(server: RunningServer) -> None:
    status, message = error(server.predict({"instances": ["no example"]}))
    assert status == 400
    assert "Could not parse example" in message


def test_invalid_requests_do_not_affect_others_in_their_batch(
    server: RunningServer, examples: list[bytes], expected: np.ndarray
) -> None:
    def predict(number: int) -> tuple[int, Any]:
        invalid = number % 5 == 0
        instance = "no example" if invalid else b64(examples[number % len(examples)])
        response = server.predict({"instances": [instance]})
        return response.status_code, response.json()

    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(predict, range(200)))
    for number, (status, body) in enumerate(responses):
        if number % 5 == 0:
            assert (status, list(body)) == (400, ["error"])
        else:
            wanted = expected[number % len(examples)]
            np.testing.assert_allclose(body["predictions"], [wanted], atol=1e-6)
    batches = server.metric("serving_batch_rows_count")
    assert server.metric("serving_batch_rows_sum") > batches, "some requests were joined"


def test_predictions_are_counted_by_class(server: RunningServer, examples: list[bytes]) -> None:
    server.predict({"instances": [b64(examples[0])]})
    counted = f'serving_predictions_total{{class="{SHADES.class_names[0]}",source="rest"}}'
    before = server.metric(counted)
    server.predict({"instances": [b64(examples[0])] * 3})
    assert server.metric(counted) == before + 3
    assert server.metric('serving_requests_total{route="predict",status="200"}') > 1
    assert server.metric('serving_prediction_confidence_count{source="rest"}') >= 4
