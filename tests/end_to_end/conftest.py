"""Places for runs: a pipeline root and a serving folder each."""

from pathlib import Path

import pytest
from support.pipeline_runs import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "root", tmp_path / "serving")


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """For a sequence of runs that build on one another."""
    base = tmp_path_factory.mktemp("shared")
    return Place(base / "root", base / "serving")
