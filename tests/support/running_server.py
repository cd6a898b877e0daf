"""Runs `mnist-pipeline serve` in a separate process."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from models.definition import DATASET

MODEL = f"/v1/models/{DATASET.name}"
"""Path of the model in the REST API."""

ROOT = Path(__file__).parents[2]
_SECONDS = 60.0
_COMMAND = "from pipeline.cli.serve import serve; serve(prog_name='mnist-pipeline serve')"


class RunningServer:
    """A server on this machine, by default on a free port."""

    def __init__(
        self,
        serving_dir: Path,
        *options: str,
        port: int | None = None,
        project: Path = ROOT,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by stop()
            "w+", prefix="server-", suffix=".log"
        )
        command = [sys.executable, "-c", _COMMAND, "--serving-dir", str(serving_dir)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), "--poll-seconds", "0.1", *options],
            cwd=project,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=self._log,
            stderr=self._log,
        )
        atexit.register(self.process.kill)  # For tests that fail before they stop the server.
        self._session = requests.Session()

    def get(self, path: str, **options: Any) -> requests.Response:
        return self._session.get(self.url + path, timeout=_SECONDS, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self._session.post(self.url + path, timeout=_SECONDS, **options)

    def predict(self, body: object) -> requests.Response:
        return self.post(f"{MODEL}:predict", json=body)

    def responds(self, path: str = "/readyz") -> bool:
        """Whether a GET request for the path succeeds."""
        try:
            return self.get(path).ok
        except requests.ConnectionError:
            return False

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition; fails if the server exits or the wait times out."""
        deadline = time.monotonic() + _SECONDS
        while not condition():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def wait_for_version(self, version: int) -> None:
        self.wait_until(lambda: self.get("/api/model").json()["version"] == str(version))

    def metric(self, line: str) -> float:
        """Returns the value of a metric with these labels, or 0 if the metric is missing."""
        found = re.search(f"^{re.escape(line)} (.*)$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def memory(self) -> float:
        """Returns the server's resident memory in MiB."""
        return self.metric("process_resident_memory_bytes") / 2**20

    def log(self) -> str:
        """Returns the server's output."""
        return Path(self._log.name).read_text()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Stops the server and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(_SECONDS)
        finally:
            self.process.kill()
            self._session.close()
            self._log.close()


@contextmanager
def running_server(serving_dir: Path, *options: str) -> Iterator[RunningServer]:
    """Runs a server for the releases in a directory and waits until it is ready."""
    server = RunningServer(serving_dir, *options)
    try:
        server.wait_until(server.responds)
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
