"""Start, shutdown, logs, health checks and metrics of the server."""

from __future__ import annotations

import base64
import json
import signal
import socket
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from support.running_server import MODEL, RunningServer, free_port, running_server
from support.served_models import ACCURACY, example, push_model, shades

from pipeline.cli.serve import serve


@pytest.mark.parametrize(("by", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_stop_it_after_open_requests_finish(
    tmp_path: Path, shades_model: Path, by: signal.Signals, status: int
) -> None:
    push_model(shades_model, tmp_path)
    with running_server(tmp_path) as server, socket.socket() as client:
        client.settimeout(30)
        client.connect(("127.0.0.1", server.port))
        instance = base64.b64encode(example(shades(1)[0])).decode()
        body = json.dumps({"instances": [{"b64": instance}]}).encode()
        head = f"POST {MODEL}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
        client.sendall(head.encode() + b"\r\n\r\n" + body[:-5])
        server.wait_until(lambda: server.responds("/healthz"))
        server.process.send_signal(by)
        with pytest.raises(requests.ConnectionError):  # noqa: PT012 - repeats until the server stops listening
            while True:
                requests.get(f"{server.url}/healthz", timeout=30)
        client.sendall(body[-5:])
        assert b"200 OK" in client.recv(10_000)
        assert server.process.wait(30) == status
        assert "Traceback" not in server.log()
        assert "Error" not in server.log()


def test_it_can_be_stopped_while_it_loads_a_model(tmp_path: Path, shades_model: Path) -> None:
    push_model(shades_model, tmp_path)
    server = RunningServer(tmp_path)
    server.wait_until(lambda: server.responds("/healthz"))
    assert server.stop() == 0


def test_the_address_is_printed_before_the_model_is_loaded(
    tmp_path: Path, shades_model: Path
) -> None:
    version = push_model(shades_model, tmp_path)
    server = RunningServer(tmp_path)
    try:
        server.wait_until(lambda: server.responds("/healthz"))
        assert server.get("/readyz").status_code == 503
        server.wait_until(lambda: server.get("/api/model").json()["loading"])
        assert server.log().startswith(f"Serving on {server.url}/ (press Ctrl+C to stop)\n")
        server.wait_until(server.responds)
        _, *logged = server.log().splitlines()
        assert [line.split(" ", 2)[-1] for line in logged] == [
            f"INFO Loading version {version}.",
            f"INFO Version {version} is live (accuracy {ACCURACY:.2%}).",
        ]
    finally:
        server.stop()


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = RunningServer(tmp_path, port=taken.getsockname()[1])
        assert server.process.wait(60) == 1
        (line,) = server.log().splitlines()
        assert "Address already in use. Choose another with --host and --port." in line
        server.stop()


def test_an_unknown_host_is_reported_in_one_line(tmp_path: Path) -> None:
    server = RunningServer(tmp_path, "--host", "nowhere.invalid")
    assert server.process.wait(60) == 1
    (line,) = server.log().splitlines()
    assert "Can't listen on nowhere.invalid port" in line
    server.stop()


def test_it_listens_on_the_loopback_interface_by_default(server: RunningServer) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=10)


def test_it_listens_on_the_given_host(tmp_path: Path) -> None:
    port = free_port()
    server = RunningServer(tmp_path, "--host", "::1", port=port)
    try:
        server.wait_until(lambda: _responds(f"http://[::1]:{port}/healthz"))
        server.wait_until(lambda: f"Serving on http://[::1]:{port}/" in server.log())
    finally:
        server.stop()


@pytest.mark.parametrize("option", ["--max-batch=0", "--port=70000", "--poll-seconds=0"])
def test_invalid_options_are_a_usage_error(option: str) -> None:
    assert CliRunner().invoke(serve, [option]).exit_code == 2


def test_errors_are_json_everywhere(server: RunningServer) -> None:
    missing = server.get("/nothing")
    assert (missing.status_code, missing.json()) == (404, {"error": "Not Found: GET /nothing"})
    wrong = server.post("/healthz")
    assert wrong.status_code == 405
    assert wrong.json() == {"error": "Method Not Allowed: POST /healthz"}
    assert "POST" not in wrong.headers["allow"]


def test_requests_are_counted_by_their_route(server: RunningServer) -> None:
    for path in ("/one", "/two"):
        server.get(path)
    counted = 'serving_requests_total{route="other",status="404"}'
    before = server.metric(counted)
    server.get("/three")
    assert server.metric(counted) == before + 1
    text = server.get("/metrics").text
    assert "/three" not in text
    assert 'serving_request_seconds_bucket{le="0.001",route="other"}' in text
    assert server.get("/metrics").headers["content-type"].startswith("text/plain; version=")


def test_metrics_have_tensorflow_servings_default_path(server: RunningServer) -> None:
    path = "/monitoring/prometheus/metrics"
    counted = 'serving_requests_total{route="metrics",status="200"}'
    before = server.metric(counted)
    assert "serving_live_version" in server.get(path).text
    assert server.metric(counted) == before + 2


def _responds(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).ok
    except requests.ConnectionError:
        return False
