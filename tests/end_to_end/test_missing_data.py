"""Tests that the pipeline never substitutes other data for missing data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.definition import DATASET

# Runs the command for a data set without a bundled sample, whose host is unreachable.
CODE = """
from models import definition
changed = {"download_url": "http://127.0.0.1:9/", "bundled_sample": None}
definition.DATASET = definition.DATASET.model_copy(update=changed)
from pipeline.cli.main import main
main()
"""


@pytest.mark.parametrize("data", ["auto", "tfds", "bundled"])
def test_run_without_data_fails_with_one_line_and_writes_nothing(data: str, tmp_path: Path) -> None:
    arguments = ["run", "--data", data, "--data-dir", str(tmp_path / "data")]
    process = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr == ""
    (line,) = process.stdout.splitlines()
    assert line.startswith("Error: ")
    assert DATASET.title in line
    assert list(tmp_path.iterdir()) == []
