"""The manifest of a release: `release.json`, with metrics and provenance.

The file is stored in the SavedModel's directory. TensorFlow and TensorFlow Serving ignore it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, ValidationError, model_validator

from components.common import checksums
from components.common.provenance import ArtifactRecord, Data, Git
from components.model_gate.checks import Check
from components.releases.versions import parse_version
from models.validation import Frozen, problems

RELEASE_FILE = "release.json"


class ManifestError(Exception):
    """The manifest is missing or invalid, or the files don't match it. The message is one line."""


class FileRecord(Frozen):
    """A file of the model."""

    sha256: str
    bytes: int


class Rollback(Frozen):
    """A rollback from one version to an earlier one.

    Attributes:
      from_version: the version that was rolled back.
      from_model_sha256: checksum of that version's model.
      to_version: the earlier version, which was released again.
      reason: free text, may be empty.
    """

    from_version: int
    from_model_sha256: str
    to_version: int
    reason: str


class Training(Frozen):
    """How the model was trained.

    Attributes:
      hyperparameters: JSON values, by name, including the name of the `recipe`.
      epochs: number of epochs.
      best_epoch: epoch of the exported weights, from 1.
      precision: type of number that training computed with; None if unknown.
      hardware: the machine that trained the model.
    """

    hyperparameters: dict[str, Any]
    epochs: int
    best_epoch: int
    precision: str | None
    hardware: str


class ReleaseFacts(Frozen):
    """The fields of a manifest that are known before the release has a version.

    Attributes:
      format: version of the manifest format.
      model: name of the model.
      metrics: metrics from the gate's verdict.
      checks: checks from the gate's verdict.
      data: the data that the model was trained on, and how to use the model.
      training: None if unknown, as in manifests before format 3.
      git: None if the code is not in a Git repository.
      packages: package versions, by name.
      ml_metadata: artifacts, by their role in the push.
      rollback: None for a version that the pipeline pushed. A rollback copies the other fields from
        the version that it restores.
    """

    format: Literal[3] = 3
    model: str
    metrics: dict[str, int | float | None]
    checks: tuple[Check, ...]
    data: Data
    training: Training | None = None
    git: Git | None
    packages: dict[str, str]
    ml_metadata: dict[str, ArtifactRecord]
    rollback: Rollback | None = None

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, values: Any) -> Any:
        """Adds the data definition to format 1, which supported only MNIST; accepts format 2."""
        if not isinstance(values, dict) or values.get("format") not in (1, 2):
            return values
        added = _FACTS_OF_FORMAT_1 if values["format"] == 1 else {}
        return {**values, "format": 3, "data": {**values["data"], **added}}


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
      version: version number, also the name of the directory.
      created: time of the push, with time zone.
      model_sha256: `components.common.checksums.model_sha256` of the files.
      files: the model's files by relative POSIX path, without the manifest.
    """

    version: int
    created: AwareDatetime
    model_sha256: str
    files: dict[str, FileRecord]


def read_release(version_dir: Path) -> Release:
    """Reads the manifest of a version.

    Raises:
      ManifestError: if the manifest is missing or malformed.
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
      The manifest; None if it is missing because another tool pushed the version.

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
      One line for each file that is missing, changed, not listed or a symbolic link, and one line
      if the manifest is unreadable, contradicts itself or belongs to another version; empty if the
      release is intact.
    """
    try:
        release = read_release(version_dir)
        found = checksums.directory_sha256(version_dir, exclude=[RELEASE_FILE])
        links = checksums.symbolic_links(version_dir)
    except ManifestError as error:
        return [str(error)]
    except OSError as error:
        return [f"{error.filename} can't be read: {error.strerror}"]
    expected = {name: file.sha256 for name, file in release.files.items()}
    misplaced = parse_version(version_dir.name) != release.version
    contradictory = checksums.model_sha256(expected) != release.model_sha256
    return [
        *([f"the manifest belongs to version {release.version}"] if misplaced else []),
        *(["model_sha256 contradicts the files in the manifest"] if contradictory else []),
        *(f"{name} is a symbolic link" for name in links),
        *(f"{name} is missing" for name in sorted(expected.keys() - found.keys())),
        *(f"{name} is not in the manifest" for name in sorted(found.keys() - expected.keys())),
        *(
            f"{name} has changed"
            for name in sorted(expected.keys() & found.keys())
            if expected[name] != found[name]
        ),
    ]
