"""`predict`, the page and the signature `pictures` return the same predictions."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.running_server import MODEL, RunningServer, running_server
from support.served_models import SHADES, encode, push_digits, push_model, shades
from support.tfds_directory import real_digits

from models.definition import DATASET
from pipeline.cli.predict import predict

about_mnist = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")


def by_signature(server: RunningServer, name: str, pictures: Sequence[bytes]) -> np.ndarray:
    instances = [{"b64": base64.b64encode(picture).decode()} for picture in pictures]
    response = server.predict({"signature_name": name, "instances": instances})
    rows = response.json()["predictions"]
    if isinstance(rows[0], dict):
        rows = [row["probabilities"] for row in rows]
    return np.array(rows)


def by_page(server: RunningServer, pictures: Sequence[bytes]) -> np.ndarray:
    responses = [server.post("/api/classify", data=picture).json() for picture in pictures]
    return np.array([response["probabilities"] for response in responses])


def by_command(serving_dir: Path, directory: Path, pictures: Sequence[bytes]) -> list[int]:
    paths = [directory / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(picture)
    arguments = ["--serving-dir", str(serving_dir), "--json", *map(str, paths)]
    result = CliRunner().invoke(predict, arguments)
    return [row["label"] for row in json.loads(result.stdout)]


def test_all_interfaces_return_the_same_predictions(tmp_path: Path, shades_model: Path) -> None:
    pictures = [encode(image.repeat(7, axis=0).repeat(7, axis=1)) for image in shades(9)]
    serving_dir = tmp_path / "serving"
    push_model(shades_model, serving_dir)
    with running_server(serving_dir) as server:
        probabilities = by_page(server, pictures)
        np.testing.assert_allclose(
            by_signature(server, "pictures", pictures), probabilities, atol=1e-5
        )
        own = by_signature(server, "serving_images", pictures)
    np.testing.assert_allclose(own, probabilities, atol=1e-3)
    assert by_command(serving_dir, tmp_path, pictures) == probabilities.argmax(axis=1).tolist()
    assert set(probabilities.argmax(axis=1)) == set(range(len(SHADES.class_names)))


def photo(image: np.ndarray, angle: int) -> Image.Image:
    """The digit in dark ink, off center, on paper that is lit from one side."""
    ink = np.pad(image[..., 0], ((40, 10), (12, 50))).repeat(4, axis=0).repeat(4, axis=1) / 255
    paper = np.linspace(150, 220, ink.shape[1]) + angle
    return Image.fromarray(np.clip(paper * (1 - ink) + 40 * ink, 0, 255).astype(np.uint8))


@about_mnist
def test_photos_of_digits_are_classified_except_by_the_models_own_signature(
    tmp_path: Path,
) -> None:
    images, labels = real_digits()
    pictures = [encode(photo(image, angle)) for angle, image in enumerate(images[-20:])]
    expected = labels[-20:]
    serving_dir = tmp_path / "serving"
    push_digits(serving_dir)
    with running_server(serving_dir) as server:
        probabilities = by_page(server, pictures)
        np.testing.assert_allclose(
            by_signature(server, "pictures", pictures), probabilities, atol=1e-5
        )
        own = by_signature(server, "serving_images", pictures).argmax(axis=1)
    digits = probabilities.argmax(axis=1)
    assert by_command(serving_dir, tmp_path, pictures) == digits.tolist()
    assert np.mean(digits == expected) >= 0.85
    assert np.mean(own == expected) < 0.5, "it expects light ink on dark, framed"


def test_pictures_are_declined_by_all_interfaces(tmp_path: Path, shades_model: Path) -> None:
    data = SHADES.model_copy(update={"least_confidence": 0.9})
    serving_dir = tmp_path / "serving"
    push_model(shades_model, serving_dir, data)
    levels = (0, 128)  # Black, and between two classes.
    pictures = [encode(np.full(data.image_shape, level, np.uint8)) for level in levels]
    instances = [{"b64": base64.b64encode(picture).decode()} for picture in pictures]
    with running_server(serving_dir) as server:
        page = [server.post("/api/classify", data=each).json()["declined"] for each in pictures]
        response = server.predict({"signature_name": "pictures", "instances": instances})
        counts = server.get("/metrics").text
    assert page[0] is None
    assert page[1].startswith("low confidence (")
    rest = [row["declined"] for row in response.json()["predictions"]]
    assert rest == ["", page[1]]
    assert 'serving_declined_total{source="rest"} 1.0' in counts
    (tmp_path / "between.png").write_bytes(pictures[1])
    arguments = ["--serving-dir", str(serving_dir), str(tmp_path / "between.png")]
    (row,) = json.loads(CliRunner().invoke(predict, ["--json", *arguments]).stdout)
    assert row["declined"] == page[1]
    shown = CliRunner().invoke(predict, arguments)
    assert shown.exit_code == 0
    assert f"not a clear {SHADES.noun}" in shown.output.replace("\n", " ")


def test_signature_is_marked_in_the_metadata(server: RunningServer) -> None:
    metadata = server.get(f"{MODEL}/metadata").json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["pictures"]
    assert signature["method_name"] == "added by mnist-pipeline serve; not part of the SavedModel"
    (name, described), *others = signature["inputs"].items()
    assert (name, described["dtype"], others) == ("pictures", "DT_STRING", [])
    dims = signature["outputs"]["probabilities"]["tensor_shape"]["dim"]
    assert [dim["size"] for dim in dims] == ["-1", str(len(SHADES.class_names))]


def test_columns_and_named_rows_are_read(server: RunningServer) -> None:
    picture = {"b64": base64.b64encode(encode(shades(4)[2])).decode()}
    rows = server.predict({"signature_name": "pictures", "instances": [{"pictures": picture}]})
    columns = server.predict({"signature_name": "pictures", "inputs": [picture]})
    (row,), outputs = rows.json()["predictions"], columns.json()["outputs"]
    assert outputs == {"declined": [row["declined"]], "probabilities": [row["probabilities"]]}
    nothing = server.predict({"signature_name": "pictures", "inputs": []})
    assert nothing.json() == {"outputs": {"declined": [], "probabilities": []}}


def test_bad_picture_is_named(server: RunningServer) -> None:
    good, bad = base64.b64encode(encode(shades(4)[2])).decode(), base64.b64encode(b"bad").decode()
    body = {"signature_name": "pictures", "instances": [{"b64": good}, {"b64": bad}]}
    response = server.predict(body)
    assert response.status_code == 400
    assert response.json()["error"].startswith("Picture 2 of 2: Expected a picture (PNG, JPEG, ")


def test_pictures_of_a_request_are_limited_together(tmp_path: Path, shades_model: Path) -> None:
    push_model(shades_model, tmp_path)
    picture = base64.b64encode(encode(shades(4)[2], "WEBP")).decode()
    with running_server(tmp_path, "--max-pixels", "2100", "--max-instances", "3") as server:

        def classify(count: int) -> tuple[int, str]:
            instances = [{"b64": picture}] * count
            response = server.predict({"signature_name": "pictures", "instances": instances})
            return response.status_code, response.json().get("error", "")

        assert classify(2) == (200, "")
        status, error = classify(3)
        assert status == 400
        assert error.startswith("Picture 3 of 3: Expected a picture of at most ")
        assert classify(4) == (400, "Expected at most 3 instances, received 4: send fewer at once")
