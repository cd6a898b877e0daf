"""Workspaces with a pipeline root and a serving directory each, and shared inputs."""

from pathlib import Path

import pytest
from support.pipeline_runs import Workspace, write_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only directory with synthetic data and its schema."""
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def workspace(tmp_path: Path, inputs: Path) -> Workspace:
    return Workspace(tmp_path / "root", tmp_path / "serving", inputs)


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory, inputs: Path) -> Workspace:
    """A workspace for a module's tests, whose runs build on each other."""
    base = tmp_path_factory.mktemp("shared")
    return Workspace(base / "root", base / "serving", inputs)
