"""Only one run at a time may use a pipeline root."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.runs.root_lock import PipelineRootBusyError, locked

HOLD = """
import sys, time
from pathlib import Path
from pipeline.runs.root_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_second_run_is_rejected_with_a_hint(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with (
        pytest.raises(PipelineRootBusyError, match=r"in use by another run.*--pipeline-root"),
        locked(tmp_path),
    ):
        pass


def test_lock_of_a_killed_run_is_free(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    with locked(tmp_path):
        pass


def test_missing_root_is_created(tmp_path: Path) -> None:
    with locked(tmp_path / "new" / "root"):
        assert (tmp_path / "new" / "root").is_dir()
