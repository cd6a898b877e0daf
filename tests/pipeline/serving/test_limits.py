"""Requests that are too large, too slow or malformed are rejected and don't harm the server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import io
import json
import random
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from starlette.requests import Request
from support.running_server import MODEL, RunningServer, running_server
from support.served_models import example, push_model, shades

from pipeline.serving import limits
from pipeline.serving.errors import RequestError

PREDICT = f"{MODEL}:predict"
HEADER_BYTES = 32 * 2**10
MEMORY_MIB = 150  # The bodies are 400 MiB.
PADDING = b" " * 2**20


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def png(side: int = 28) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.eye(side, dtype=np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG file that declares a large image."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def images(*encoded: bytes, signature: str = "serving_images") -> bytes:
    body = {"signature_name": signature, "instances": [b64(image) for image in encoded]}
    return json.dumps(body).encode()


@pytest.fixture(scope="module")
def small_server(
    tmp_path_factory: pytest.TempPathFactory, shades_model: Path
) -> Iterator[RunningServer]:
    """A server with low limits."""
    serving_dir = tmp_path_factory.mktemp("small")
    push_model(shades_model, serving_dir)
    options = ["--max-body-mib", "1", "--max-instances", "3", "--max-pixels", "2000"]
    with running_server(serving_dir, *options) as running:
        yield running


def malformed(generator: random.Random) -> tuple[str, bytes, dict[str, str]]:
    """The path, body and headers of an invalid request."""
    picture = png()
    good = json.dumps({"instances": [b64(example(shades(1)[0]))]}).encode()
    cut = generator.randrange(1, 50)  # Longer prefixes can sometimes be decoded.
    noise = generator.randbytes(generator.randrange(1, 300))
    nested = b"[" * generator.choice([20, 900, 10**5])
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    wrong_tensors = [
        {"instances": []},
        {"instances": {}},
        {"instances": [[["a"]]]},
        {"instances": [1.5]},
        {"instances": [None]},
        {"instances": [{}]},
        {"instances": [{"b64": "%%%"}]},
        {"instances": ["a", ["b"]]},
        {"instances": ["a"], "inputs": ["a"]},
        {"inputs": None},
        {"inputs": {"images": ["a"]}},
        {"inputs": [[["a"], "b"]]},
        {"instances": ["a"], "signature_name": ["x"]},
        {"instances": ["a"], "signature_name": "other"},
        {"instances": [b64(noise)]},
        {"instances": [b64(example(np.zeros(generator.randrange(783), np.uint8)))]},
        [],
        "instances",
        3,
        None,
    ]
    broken_image = bytearray(picture)
    broken_image[generator.randrange(8, 40)] ^= 0xFF
    bodies: list[tuple[str, bytes, dict[str, str]]] = [
        (PREDICT, good[: generator.randrange(len(good) - 1)], {}),
        (PREDICT, noise, {"Content-Type": "application/json"}),
        (PREDICT, b'{"instances": [NaN]}', {}),
        (PREDICT, b'{"instances": [[Infinity, -Infinity]]}', {}),
        (PREDICT, b'{"instances": ' + nested, {}),
        (PREDICT, b'{"instances": ' + nested + b"]" * len(nested) + b"}", {}),
        (PREDICT, json.dumps(generator.choice(wrong_tensors)).encode(), {}),
        (PREDICT, json.dumps(generator.choice(wrong_tensors)).encode(), {}),
        (PREDICT, b"--x\r\n\r\n" + good + b"\r\n--x--", boundary),
        (PREDICT, zlib.compress(good), {"Content-Encoding": "deflate"}),
        (PREDICT, good.decode().encode("utf-16"), {}),
        (PREDICT, images(picture[:cut]), {}),
        (PREDICT, images(picture, picture[:cut]), {}),
        (PREDICT, images(bytes(broken_image)), {}),
        (PREDICT, images(bomb(60_000, 60_000)), {}),
        (PREDICT, images(bomb(2**31 - 1, 2**31 - 1)), {}),
        (PREDICT, images(noise), {}),
        (PREDICT, images(*[png(2000)] * 5), {}),
        (PREDICT, images(*[png(2000)] * 5, signature="pictures"), {}),
        (PREDICT, images(picture, noise, signature="pictures"), {}),
        (PREDICT, images(bomb(60_000, 60_000), signature="pictures"), {}),
        (f"{MODEL}:classify", good, {}),
        (f"{MODEL}/versions/{generator.randrange(99)}:predict", good, {}),
        (f"/v1/{noise.hex()[:40]}", good, {}),
        ("/api/classify", picture[:cut], {"Content-Type": "image/png"}),
        ("/api/classify", noise, {"Content-Type": "image/jpeg"}),
        ("/api/classify", b"", {}),
        ("/api/classify", bomb(60_000, 60_000), {}),
        ("/api/classify", bytes(Image.new("L", (50, 50)).tobytes()), {}),
        ("/api/classify", b"--x\r\n\r\n" + picture + b"\r\n--x--", boundary),
    ]
    return generator.choice(bodies)


def test_malformed_requests_get_an_error_and_leak_no_memory(server: RunningServer) -> None:
    generator = random.Random(0)
    cases: dict[tuple[str, bytes], dict[str, str]] = {}
    while len(cases) < 200:
        path, body, headers = malformed(generator)
        cases[path, body] = headers

    def send_all(padding: bytes) -> None:
        for (path, body), headers in cases.items():
            response = server.post(path, data=body + padding, headers=headers)
            told = (path, body[:80], response.status_code, response.text[:200])
            assert 400 <= response.status_code < 500, told
            assert list(response.json()) == ["error"], told
            assert response.json()["error"], told

    send_all(b"")
    before = server.memory()
    send_all(PADDING)
    send_all(PADDING)
    assert server.memory() < before + MEMORY_MIB
    predictions = server.predict({"instances": [b64(example(shades(4)[2]))]}).json()["predictions"]
    assert np.argmax(predictions[0]) == 2
    assert "Traceback" not in server.log()


def test_a_body_over_the_limit_is_rejected(small_server: RunningServer) -> None:
    for path in (PREDICT, "/api/classify"):
        response = small_server.post(path, data=b"x" * (2**20 + 1))
        assert response.status_code == 413
        assert "at most 1048576 bytes, received 1048577" in response.json()["error"]
        in_parts = iter([b"x" * 2**19] * 3)
        response = requests.post(small_server.url + path, data=in_parts, timeout=30)
        assert response.status_code == 413


@pytest.mark.parametrize("path", [PREDICT, "/api/classify"])
def test_a_rejected_upload_closes_the_connection(server: RunningServer, path: str) -> None:
    for header in ("Content-Length: 99999999", "Content-Length: 9\r\nContent-Encoding: br"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
            response = b""
            while part := client.recv(10_000):
                response += part
            assert response.split()[1] in (b"413", b"415"), "and the connection is closed"


def test_a_gzipped_body_is_read(small_server: RunningServer) -> None:
    headers = {"Content-Encoding": "gzip"}
    good = json.dumps({"instances": [b64(example(shades(1)[0]))]}).encode()

    def send(body: bytes) -> requests.Response:
        return small_server.post(PREDICT, data=body, headers=headers)

    assert send(gzip.compress(good)).json() == small_server.post(PREDICT, data=good).json()
    assert send(gzip.compress(bytes(10**8))).status_code == 413
    for broken in (good, gzip.compress(good)[:-9]):
        response = send(broken)
        assert response.status_code == 400
        assert "Expected a body compressed by gzip" in response.json()["error"]


def test_too_many_instances_are_rejected(small_server: RunningServer) -> None:
    instance = b64(example(shades(1)[0]))
    assert small_server.predict({"instances": [instance] * 3}).status_code == 200
    response = small_server.predict({"instances": [instance] * 4})
    assert response.status_code == 400
    assert "at most 3 instances, received 4" in response.json()["error"]


def test_pixels_of_all_images_together_are_limited(small_server: RunningServer) -> None:
    assert small_server.post(PREDICT, data=images(png(), png())).status_code == 200
    response = small_server.post(PREDICT, data=images(png(), png(), png()))
    assert response.status_code == 400
    assert "at most 2000 pixels in total, received 2352" in response.json()["error"]
    for kind in ("PNG", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(np.eye(50, dtype=np.uint8) * 255).save(buffer, kind)
        response = small_server.post("/api/classify", data=buffer.getvalue())
        assert response.status_code == 400
        assert "at most 0.002 megapixels, received 50 x 50" in response.json()["error"]


def test_headers_over_the_limit_close_the_connection(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                client.sendall(b"X: " + b"y" * (HEADER_BYTES // 10) + b"\r\n")
                time.sleep(0.005)
            pytest.fail("accepted ten times the limit")


def test_a_stalled_body_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(60)
        return {}

    request = Request({"type": "http", "headers": [(b"content-length", b"5")]}, receive)
    with pytest.raises(RequestError, match="Expected the body within") as raised:
        asyncio.run(limits.read_body(request, 100))
    assert (raised.value.status, raised.value.headers) == (408, {"Connection": "close"})


def test_connections_are_kept_alive(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        for _ in range(3):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            response = b""
            while not response.endswith(b"\r\n\r\nok\n"):
                response += client.recv(10_000)
            assert response.startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_get_503_when_the_queue_is_full(tmp_path: Path, shades_model: Path) -> None:
    push_model(shades_model, tmp_path)
    body = {"instances": [b64(example(shades(1)[0]))] * 200}
    with running_server(tmp_path, "--max-waiting", "2") as server, ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda _: server.predict(body), range(60)))
        assert {response.status_code for response in responses} == {200, 503}
        rejected = next(response for response in responses if response.status_code == 503)
        assert rejected.headers["Retry-After"] == "1"
        assert "2 requests are waiting" in rejected.json()["error"]
        assert server.predict(body).status_code == 200
