"""Places for runs: a pipeline root and a serving directory each, with the same inputs."""

from pathlib import Path

import pytest
from support.pipeline_runs import Workspace, write_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic data and a schema; for reading only."""
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def workspace(tmp_path: Path, inputs: Path) -> Workspace:
    return Workspace(tmp_path / "root", tmp_path / "serving", inputs)


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory, inputs: Path) -> Workspace:
    """For a sequence of runs that build on one another."""
    base = tmp_path_factory.mktemp("shared")
    return Workspace(base / "root", base / "serving", inputs)
