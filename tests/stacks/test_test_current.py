"""The preparation in test_current.sh, with an empty root folder and without mounts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "stacks" / "test_current.sh"


@pytest.mark.parametrize("given", ["data", "./data", "{here}/data"])
def test_data_directory_is_relative_to_the_caller(given: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for name, line in (("id", "echo 0"), ("unshare", 'echo "data: $TFDS_DATA_DIR"')):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{line}\n")
        command.chmod(0o755)
    done = subprocess.run(
        ["sh", str(SCRIPT), "true"],
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "TRIXIE_ROOT": str(tmp_path / "root"),
            "TFDS_DATA_DIR": given.format(here=tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == f"data: {tmp_path / 'data'}"
