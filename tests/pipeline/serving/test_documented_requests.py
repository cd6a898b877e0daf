"""The requests of docs/serving.md, sent to a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import documentation
from support.release_fixtures import UNKNOWN_DATA
from support.running_server import RunningServer, running_server
from support.served_models import encode, push_model, shade_model, shades

from models.definition import DATASET

PAGE = Path("docs/serving.md")
BLOCKS = [block for block in documentation.blocks(PAGE) if block.marker == "server"]
SCRIPTS = [block.text for block in BLOCKS if block.language == "sh"]
(CLIENT,) = (block.text for block in BLOCKS if block.language == "python")

pytestmark = [
    pytest.mark.skipif(DATASET.name != "mnist", reason="the page names MNIST's model"),
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed"),
]


@pytest.fixture(scope="module")
def mnist_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serves a release for images of MNIST's shape."""
    serving_dir = tmp_path_factory.mktemp("mnist_serving")
    model = shade_model(tmp_path_factory.mktemp("model"), UNKNOWN_DATA)
    push_model(model, serving_dir, UNKNOWN_DATA)
    with running_server(serving_dir) as running:
        yield running


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.split("\n")[0])
def test_each_request_gets_a_response(server: RunningServer, tmp_path: Path, script: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(encode(shades(4)[2]))
    requests = [" ".join(words) for words in documentation.split_commands(script)]
    expected = sum(request.startswith("curl") for request in requests)
    here = script.replace("localhost:8501", f"127.0.0.1:{server.port}")
    here = here.replace("curl ", "curl --silent --fail --noproxy '*' --write-out '<end>' ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", here],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *responses, end = done.stdout.split("<end>")
    assert (len(responses), end) == (expected, "")
    for response in responses:
        assert "error" not in json.loads(response)


def test_python_client_prints_scores_of_each_image(mnist_server: RunningServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT.replace("http://localhost:8501", mnist_server.url)],
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert [len(row) for row in scores] == 3 * [len(DATASET.class_names)]


def test_there_are_requests() -> None:
    assert len(SCRIPTS) == 2
