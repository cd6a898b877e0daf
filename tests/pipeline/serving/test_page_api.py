"""What the page gets from the server."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.running_server import RunningServer
from support.small_trainings import real_digits


def encoded(image: Image.Image, file_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def large(index: int) -> Image.Image:
    """A real digit, as a large picture."""
    return Image.fromarray(real_digits()[0][index, :, :, 0]).resize((280, 280))


def test_drawings_are_recognised(server: RunningServer) -> None:
    right = [
        server.post("/api/digit", data=encoded(large(index))).json()["digit"]
        == real_digits()[1][index]
        for index in range(-40, 0)
    ]
    assert sum(right) >= 35


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_ink_may_be_dark_and_formats_differ(server: RunningServer, file_format: str) -> None:
    picture = encoded(ImageOps.invert(large(-1)), file_format)
    answer = server.post("/api/digit", data=picture).json()
    assert answer["digit"] == real_digits()[1][-1]


def test_answer_has_all_that_the_page_shows(server: RunningServer) -> None:
    answer = server.post("/api/digit", data=encoded(large(-1))).json()
    assert sorted(answer) == ["digit", "image", "probabilities", "version"]
    assert len(answer["probabilities"]) == 10
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert answer["digit"] == np.argmax(answer["probabilities"])
    assert answer["version"] == server.get("/api/model").json()["version"]
    kind, data = answer["image"].split(",")
    assert kind == "data:image/png;base64"
    seen = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (seen.size, seen.mode) == ((28, 28), "L")


def test_picture_without_ink_is_refused_with_a_reason(server: RunningServer) -> None:
    response = server.post("/api/digit", data=encoded(Image.new("L", (280, 280))))
    assert response.status_code == 400
    assert "found no ink" in response.json()["error"]


def test_page_asks_nobody_else(server: RunningServer) -> None:
    page = server.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    linked = [name for name in files if not name.startswith("data:")]
    assert sorted(linked) == ["page.css", "page.js"]
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        answer = server.get(f"/{name}")
        assert answer.headers["content-type"].split(";")[0] in (kind, "application/javascript")
        assert "http" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
