"""The manifest of a release: `release.json` beside the model, with metrics and provenance.

Loaders of SavedModels and TensorFlow Serving ignore the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, ValidationError, model_validator

from components.common import checksums
from components.common.provenance import ArtifactRecord, Data, Git
from components.model_gate.rules import Check
from components.releases.versions import parse_version
from models.validation import Frozen, problems

RELEASE_FILE = "release.json"


class ManifestError(Exception):
    """A release has no readable manifest, or its files don't match it; the message is one line."""


class FileRecord(Frozen):
    """A file of the model."""

    sha256: str
    bytes: int


class Rollback(Frozen):
    """Which version a rollback replaced, and why.

    Attributes:
      from_version: the version that it withdrew.
      from_model_sha256: checksum of that version's model.
      to_version: the earlier version, whose model it released again.
      reason: free text; may be empty.
    """

    from_version: int
    from_model_sha256: str
    to_version: int
    reason: str


class ReleaseFacts(Frozen):
    """The part of a manifest that is known before the release has a version.

    Attributes:
      format: version of this format.
      model: name of the model.
      metrics: from the gate's verdict.
      checks: the gate's rules, with thresholds and values.
      data: the data that the model was trained on, and how to use the model.
      git: None if the code is in no Git repository.
      packages: versions by name.
      ml_metadata: artifacts by their role in the push.
      rollback: None for a version that the pipeline pushed. The other facts of a rollback are
        copied from the version that it returns to.
    """

    format: Literal[2] = 2
    model: str
    metrics: dict[str, int | float | None]
    checks: tuple[Check, ...]
    data: Data
    git: Git | None
    packages: dict[str, str]
    ml_metadata: dict[str, ArtifactRecord]
    rollback: Rollback | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete_format_1(cls, values: Any) -> Any:
        """Format 1 lacked the facts of the data definition, which were MNIST's."""
        if isinstance(values, dict) and values.get("format") == 1:
            return {**values, "format": 2, "data": {**values["data"], **_FACTS_OF_FORMAT_1}}
        return values


_FACTS_OF_FORMAT_1 = {
    "title": "MNIST",
    "noun": "digit",
    "image_shape": (28, 28, 1),
    "class_names": tuple("0123456789"),
    "picture_form": "a light digit on a dark background",
    "picture_preprocessing": "models.digits.framing.to_mnist",
    "least_confidence": 0.5,
}


class Release(ReleaseFacts):
    """The content of a manifest.

    Attributes:
      version: also the name of the directory.
      created: time of the push, with time zone.
      model_sha256: `components.common.checksums.model_sha256` of the files.
      files: by relative path (POSIX style), without the manifest itself.
    """

    version: int
    created: AwareDatetime
    model_sha256: str
    files: dict[str, FileRecord]


def read_release(version_dir: Path) -> Release:
    """Reads the manifest of a version.

    Raises:
      ManifestError: if there is none, or it is malformed.
    """
    path = version_dir / RELEASE_FILE
    try:
        return Release.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"Can't read {path}: {error.strerror}.") from error
    except ValidationError as error:
        raise ManifestError(
            f"Expected a release manifest in {path}: {problems(error)[0]}."
        ) from error


def verified_release(version_dir: Path) -> Release | None:
    """Reads the manifest of a version and verifies the files.

    Returns:
      None for a version without a manifest, which another tool has pushed.

    Raises:
      ManifestError: if the manifest is malformed, or the files don't match it.
    """
    if not (version_dir / RELEASE_FILE).exists():
        return None
    if found := release_problems(version_dir):
        raise ManifestError(f"The release is damaged: {', '.join(found[:3])}. Push it again.")
    return read_release(version_dir)


def release_problems(version_dir: Path) -> list[str]:
    """Compares the files of a release with its manifest.

    Returns:
      A line for each file that is missing, changed or not listed, and one if the manifest is
      unreadable or of another version; empty if the release is intact.
    """
    try:
        release = read_release(version_dir)
        found = checksums.directory_sha256(version_dir, leave_out=[RELEASE_FILE])
    except ManifestError as error:
        return [str(error)]
    except OSError as error:
        return [f"{error.filename} can't be read: {error.strerror}"]
    expected = {name: file.sha256 for name, file in release.files.items()}
    other = parse_version(version_dir.name) != release.version
    return [
        *([f"the manifest is of version {release.version}"] if other else []),
        *(f"{name} is missing" for name in sorted(expected.keys() - found.keys())),
        *(f"{name} is not in the manifest" for name in sorted(found.keys() - expected.keys())),
        *(
            f"{name} has changed"
            for name in sorted(expected.keys() & found.keys())
            if expected[name] != found[name]
        ),
    ]
