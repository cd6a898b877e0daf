"""The page and its API."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.running_server import RunningServer, running_server
from support.served_models import ACCURACY, SHADES, encode, push_model, shade_model, shades


def test_pictures_are_classified_with_the_facts_of_the_release(server: RunningServer) -> None:
    for label, image in enumerate(shades(4)):
        response = server.post("/api/classify", data=encode(image)).json()
        assert (response["label"], response["class_name"]) == (label, SHADES.class_names[label])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_pictures_may_have_any_size_and_format(server: RunningServer, kind: str) -> None:
    picture = encode(Image.new("RGB", (300, 200), (255, 255, 255)), kind)
    response = server.post("/api/classify", data=picture).json()
    seen = Image.open(io.BytesIO(base64.b64decode(response["image"].split(",")[1])))
    pixels = np.asarray(seen)
    assert (pixels[8:24] > 250).all()
    assert not pixels[:5].any(), "padded with black"


def test_the_response_has_all_facts_that_the_page_shows(server: RunningServer) -> None:
    response = server.post("/api/classify", data=encode(shades(4)[3])).json()
    assert sorted(response) == [
        *("class_name", "declined", "image", "label", "probabilities", "version"),
    ]
    assert response["declined"] is None
    assert len(response["probabilities"]) == len(SHADES.class_names)
    assert sum(response["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert response["label"] == np.argmax(response["probabilities"])
    assert response["version"] == server.get("/api/model").json()["version"]
    kind, data = response["image"].split(",")
    assert kind == "data:image/png;base64"
    seen = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (seen.size, seen.mode) == ((32, 32), "RGB")


def test_model_is_described_by_its_release(server: RunningServer) -> None:
    described = server.get("/api/model").json()
    facts = {
        *("title", "noun", "class_names", "image_shape"),
        *("picture_form", "picture_preprocessing", "least_confidence"),
    }
    assert described.keys() == facts | {"model", "version", "accuracy", "created", "loading"}
    assert (described["accuracy"], described["loading"]) == (ACCURACY, False)
    assert described["class_names"] == list(SHADES.class_names)
    assert described["image_shape"] == [32, 32, 3]
    for name in ("title", "noun", "picture_form", "picture_preprocessing"):
        assert described[name] == getattr(SHADES, name)


def test_predictions_are_counted_by_class_name(server: RunningServer) -> None:
    counted = f'serving_predictions_total{{class="{SHADES.class_names[2]}",source="page"}}'
    before = server.metric(counted)
    server.post("/api/classify", data=encode(shades(4)[2]))
    assert server.metric(counted) == before + 1


def test_declined_pictures_keep_the_best_guess_and_are_counted_separately(
    tmp_path: Path, shades_model: Path
) -> None:
    data = SHADES.model_copy(update={"least_confidence": 0.9})
    push_model(shades_model, tmp_path, data)
    between = np.full(SHADES.image_shape, 128, np.uint8)  # Halfway between two classes.
    with running_server(tmp_path) as server:
        response = server.post("/api/classify", data=encode(between)).json()
        counts = server.get("/metrics").text
    assert re.fullmatch(r"low confidence \(\d\d%\)", response["declined"])
    assert response["label"] == np.argmax(response["probabilities"])
    assert 'serving_declined_total{source="page"} 1.0' in counts
    assert "serving_predictions_total{" not in counts


def test_gray_images_are_shown_as_gray_pictures(tmp_path: Path) -> None:
    names = tuple(f"shade {number}" for number in range(12))
    data = SHADES.model_copy(update={"image_shape": (8, 8, 1), "class_names": names})
    push_model(shade_model(tmp_path / "model", data), tmp_path / "serving", data)
    with running_server(tmp_path / "serving") as server:
        response = server.post("/api/classify", data=encode(shades(12)[7])).json()
    assert response["class_name"] == "shade 7"
    seen = Image.open(io.BytesIO(base64.b64decode(response["image"].split(",")[1])))
    assert (seen.size, seen.mode) == ((8, 8), "L")


def test_the_page_loads_nothing_from_other_hosts(server: RunningServer) -> None:
    page = server.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    linked = [name for name in files if not name.startswith("data:")]
    assert sorted(linked) == ["page.css", "page.js"]
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        response = server.get(f"/{name}")
        assert response.headers["content-type"].split(";")[0] in (kind, "application/javascript")
        assert "http" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
