"""Where a model comes from: the data, the code, the packages."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from models.definition import DATASET
from models.validation import Frozen


class Data(Frozen):
    """The data that a model was trained and evaluated on, and how to use the model.

    A release carries the facts of its data definition, so that it can still be served and shown
    when the definition has changed.

    Attributes:
      source: such as "tfds:mnist/3.0.1"; None if unknown.
      fingerprint: SHA-256 of all examples; None if unknown.
      counts: examples by split.
      title: of the data set.
      noun: what a class is called in text for people.
      image_shape: height, width and channels.
      class_names: by label.
      picture_form: what a picture must look like to be classified as it is.
      picture_preprocessing: path of the function that brings pictures to that form, or "".
      least_confidence: pictures are declined below this probability of the predicted class.
    """

    source: str | None
    fingerprint: str | None
    counts: dict[str, int]
    title: str = DATASET.title
    noun: str = DATASET.noun
    image_shape: tuple[int, int, int] = DATASET.image_shape
    class_names: tuple[str, ...] = DATASET.class_names
    picture_form: str = DATASET.picture_form
    picture_preprocessing: str = DATASET.picture_preprocessing
    least_confidence: float = DATASET.least_confidence


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
