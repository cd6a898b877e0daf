"""The manifest of a release, which says what it is and where it comes from.

It lies beside the model, as `release.json` in the directory of the version: loaders of SavedModels
and TensorFlow Serving overlook it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from components.common import checksums
from components.common.provenance import ArtifactRecord, Data, Git
from components.model_gate.rules import Check
from components.releases.versions import parse_version
from models.validation import Frozen, problems

RELEASE_FILE = "release.json"


class ManifestError(Exception):
    """A release has no manifest, or not a readable one."""


class FileRecord(Frozen):
    """A file of the model."""

    sha256: str
    bytes: int


class Rollback(Frozen):
    """What a version that went back to an earlier one replaced, and why.

    Attributes:
      from_version: the live version that it withdrew.
      from_model_sha256: that version's model.
      to_version: the earlier version, whose model it holds.
      reason: as people gave it; may be empty.
    """

    from_version: int
    from_model_sha256: str
    to_version: int
    reason: str


class Release(Frozen):
    """The content of a manifest.

    Attributes:
      format: version of this format.
      model: name of the model.
      version: also the name of the directory.
      created: when it was pushed, with time zone.
      model_sha256: `components.common.checksums.model_sha256` of the files.
      metrics: from the gate's verdict.
      checks: the gate's rules, with thresholds and values.
      data: what the model learnt from.
      git: None if the code is in no Git repository.
      packages: versions by name.
      ml_metadata: artifacts by their role in the push.
      files: by relative path (POSIX style), all but the manifest itself.
      rollback: None for a version that the pipeline pushed. All else but `version` and `created` is
        then as in the manifest of the version that was gone back to.
    """

    format: Literal[1] = 1
    model: str
    version: int
    created: AwareDatetime
    model_sha256: str
    metrics: dict[str, int | float | None]
    checks: tuple[Check, ...]
    data: Data
    git: Git | None
    packages: dict[str, str]
    ml_metadata: dict[str, ArtifactRecord]
    files: dict[str, FileRecord]
    rollback: Rollback | None = None

    def to_json(self) -> str:
        """Standard JSON, indented for people."""
        return self.model_dump_json(indent=2) + "\n"


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


def release_problems(version_dir: Path) -> list[str]:
    """Compares the files of a release with its manifest.

    Returns:
      A line for each file that is missing, changed or not listed, or if the manifest is of another
      version; none if the release is whole.

    Raises:
      ManifestError: if there is no manifest, or it is malformed.
    """
    release = read_release(version_dir)
    expected = {name: file.sha256 for name, file in release.files.items()}
    try:
        found = checksums.directory_sha256(version_dir, leave_out=[RELEASE_FILE])
    except OSError as error:
        return [f"{error.filename} can't be read: {error.strerror}"]
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
