"""Missing data are never replaced by other data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.definition import DATASET

# Runs the command for a definition without a bundled sample, whose host does not answer.
CODE = """
from models import definition
changed = {"download_url": "http://127.0.0.1:9/", "bundled_sample": None}
definition.DATASET = definition.DATASET.model_copy(update=changed)
from pipeline.cli.main import main
main()
"""


@pytest.mark.parametrize("data", ["auto", "tfds", "bundled"])
def test_a_run_without_data_ends_in_one_line_and_pushes_nothing(data: str, tmp_path: Path) -> None:
    given = ["run", "--data", data, "--data-dir", str(tmp_path / "data")]
    ended = subprocess.run(
        [sys.executable, "-c", CODE, *given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == ""
    (line,) = ended.stdout.splitlines()
    assert line.startswith("Error: ")
    assert DATASET.title in line
    assert list(tmp_path.iterdir()) == []
