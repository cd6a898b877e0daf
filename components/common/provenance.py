"""Provenance of a model: data, code and packages."""

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

    A release stores a copy of its data definition, so it can still be served and displayed after
    the definition changes.

    Attributes:
      source: for example, "tfds:mnist/3.0.1"; None if unknown.
      fingerprint: SHA-256 of all examples; None if unknown.
      counts: number of examples, by split.
      title: title of the data set.
      noun: term for a class in user-facing text, such as "digit".
      image_shape: height, width, channels.
      class_names: class names, indexed by label.
      picture_form: description of the pictures that the model expects.
      picture_preprocessing: dotted path of the function that converts pictures to this form, or "".
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
    """The version of the code. `dirty`: whether it had uncommitted changes; None if unknown."""

    commit: str
    dirty: bool | None


class ArtifactRecord(Frozen):
    """An artifact in ML Metadata."""

    id: int
    type: str
    uri: str


COMMIT_VARIABLE = "MNIST_PIPELINE_GIT_COMMIT"
"""Environment variable with the commit, for use without a Git repository, as in an image."""

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
    """Returns the commit of the running code.

    Args:
      source: a file in the code's repository.

    Returns:
      The commit from COMMIT_VARIABLE, or else from Git; None if Git doesn't track the file.
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
    """Returns the versions of Python and of the installed packages in PACKAGES."""
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
