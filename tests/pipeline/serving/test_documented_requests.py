"""The requests of docs/serving.md, sent to a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support import documentation
from support.running_server import RunningServer
from support.served_models import encode, shades

from models.definition import DATASET

PAGE = Path("docs/serving.md")
SCRIPTS = [block.text for block in documentation.blocks(PAGE) if block.marker == "server"]

pytestmark = [
    pytest.mark.skipif(DATASET.name != "mnist", reason="the page names MNIST's model"),
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed"),
]


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


def test_there_are_requests() -> None:
    assert len(SCRIPTS) == 2
