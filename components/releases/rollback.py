"""Selects the version that a rollback restores, based on the manifests of all versions.

Model servers load the highest version, so a rollback adds a new version with an earlier model. The
complete history is preserved and shows which model was live at any time.
"""

from __future__ import annotations

from typing import NamedTuple

from components.releases.manifest import ManifestError, Release

Releases = dict[int, Release | ManifestError]
"""The manifest of each version, oldest first, or the error if it can't be read."""


class RollbackError(Exception):
    """There is no version to restore, or it can't be served. Nothing was changed."""


class Replaced(NamedTuple):
    """The version that a rollback replaces.

    The checksum is computed from the files, because the manifest may be damaged.
    """

    version: int
    model_sha256: str


def earlier_version(releases: Releases, replaced: Replaced) -> int:
    """Selects the newest version with another model that was pushed before the replaced one.

    A version that is itself a rollback counts as the version that it restored. Consecutive
    rollbacks therefore go further back instead of restoring a model that was just rolled back.

    Raises:
      RollbackError: if there is no such version.
    """
    before = _origin(releases, replaced.version)
    for version, release in reversed(releases.items()):
        if version >= before or isinstance(release, ManifestError):
            continue
        if release.model_sha256 != replaced.model_sha256:
            return _origin(releases, version)
    raise RollbackError(
        f"No version before {before} has another model. Choose a version with --to."
    )


def _origin(releases: Releases, version: int) -> int:
    """Follows rollbacks to the version that the pipeline pushed with the same model."""
    release = releases.get(version)
    if isinstance(release, Release) and release.rollback and release.rollback.to_version < version:
        return _origin(releases, release.rollback.to_version)
    return version
