"""Chooses the version that a rollback returns to, from the manifests of all versions.

A model server follows the highest version, so a rollback adds one: it holds the model of an earlier
version again. The history stays complete, and shows what was live when.
"""

from __future__ import annotations

from typing import NamedTuple

from components.releases.manifest import ManifestError, Release

Releases = dict[int, Release | ManifestError]
"""The manifest of each version, oldest first, or why it can't be read."""


class RollbackError(Exception):
    """There is no version to return to, or it can't be served; nothing has changed."""


class Replaced(NamedTuple):
    """The version that a rollback replaces, described by its files: its manifest may be damaged."""

    version: int
    model_sha256: str


def earlier_version(releases: Releases, replaced: Replaced) -> int:
    """Chooses the newest version of another model that was pushed before the replaced one.

    A version that is itself a rollback counts as the version that it returned to. So the next
    rollback goes further back, and never to a model that the last one withdrew.

    Raises:
      RollbackError: if there is none.
    """
    before = _origin(releases, replaced.version)
    for version, release in reversed(releases.items()):
        if version >= before or isinstance(release, ManifestError):
            continue
        if release.model_sha256 != replaced.model_sha256:
            return _origin(releases, version)
    raise RollbackError(
        f"Expected a release of another model before version {before}, found none: "
        "choose a version with --to."
    )


def _origin(releases: Releases, version: int) -> int:
    """The version that the pipeline pushed with the same model, if this one is a rollback."""
    release = releases.get(version)
    if isinstance(release, Release) and release.rollback and release.rollback.to_version < version:
        return _origin(releases, release.rollback.to_version)
    return version
