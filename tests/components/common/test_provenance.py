from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from components.common.provenance import COMMIT_VARIABLE, Git, git_state, package_versions


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed file in its own repository."""
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    file = tmp_path / "package" / "module.py"
    file.parent.mkdir()
    file.write_text("committed")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "First")
    return file


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), "-c", "core.hooksPath=/dev/null", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_an_unchanged_repository_has_its_commit(source: Path) -> None:
    assert git_state(source) == Git(commit=git(source.parent, "rev-parse", "HEAD"), dirty=False)


@pytest.mark.parametrize("change", ["edited", "new"])
def test_uncommitted_changes_are_reported(source: Path, change: str) -> None:
    (source if change == "edited" else source.with_name("new.py")).write_text("changed")
    state = git_state(source)
    assert state is not None
    assert state.dirty is True


def test_a_file_ignored_by_the_enclosing_repository_has_no_commit(source: Path) -> None:
    (source.parents[1] / ".gitignore").write_text("venv")
    installed = source.parents[1] / "venv" / "module.py"
    installed.parent.mkdir()
    installed.touch()
    assert git_state(installed) is None


def test_without_a_repository_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path / "module.py") is None


def test_without_git_there_is_no_commit(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(source) is None


def test_the_environment_variable_overrides_the_commit(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, "abc")
    assert git_state(source) == Git(commit="abc", dirty=None)


def test_versions_of_python_and_the_main_packages_are_reported() -> None:
    versions = package_versions()
    assert versions["python"] == platform.python_version()
    assert {"tfx", "tensorflow", "keras", "apache-beam"} <= versions.keys()


def test_a_package_that_is_not_installed_is_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.common.provenance.PACKAGES", ("no-such-package", "numpy"))
    assert set(package_versions()) == {"python", "numpy"}
