"""Where a model comes from: the data, the code, the packages."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from models.validation import Frozen


class Data(Frozen):
    """The examples that the model was trained and evaluated on; None is what is not known."""

    source: str | None
    fingerprint: str | None
    counts: dict[str, int]


class Git(Frozen):
    """The code; `dirty` says whether there were uncommitted changes, None if that is not known."""

    commit: str
    dirty: bool | None


class ArtifactRecord(Frozen):
    """An artifact in ML Metadata."""

    id: int
    type: str
    uri: str


COMMIT_VARIABLE = "MNIST_PIPELINE_GIT_COMMIT"
"""Names the commit where the code is in no Git repository, such as in an image."""

PACKAGES = (
    "apache-beam",
    "keras",
    "ml-metadata",
    "numpy",
    "protobuf",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-datasets",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tfx",
)
_SECONDS = 10


def git_state(source: Path = Path(__file__)) -> Git | None:
    """The commit that the running code is of.

    Args:
      source: one of its files, to be found in its repository.

    Returns:
      What COMMIT_VARIABLE says, else what Git does; None if Git doesn't know the file.
    """
    if commit := os.environ.get(COMMIT_VARIABLE):
        return Git(commit=commit, dirty=None)
    try:
        _git(source, "ls-files", "--error-unmatch", source.name)
        commit = _git(source, "rev-parse", "HEAD")
        return Git(commit=commit, dirty=bool(_git(source, "status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return None


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a model depends on, where installed."""
    installed = ((name, _installed_version(name)) for name in PACKAGES)
    versions = {name: version for name, version in installed if version is not None}
    return {"python": platform.python_version(), **versions}


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(source: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", str(source.parent), *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=_SECONDS,
    )
    return result.stdout.strip()
