"""What the manifests of all versions say together."""

from __future__ import annotations

from pathlib import Path

from components.pusher.manifest import ManifestError, Release, Rollback, read_release
from components.pusher.versions import list_versions


def read_releases(model_dir: Path) -> dict[int, Release | ManifestError]:
    """The manifest of each version, oldest first, or why it can't be read."""
    return {version: _read(path) for version, path in list_versions(model_dir).items()}


def withdrawals(model_dir: Path) -> dict[str, Rollback]:
    """The models that rollbacks withdrew, and that no later version brought back.

    Returns:
      The rollback by the SHA-256 of the model that it withdrew.
    """
    withdrawn: dict[str, Rollback] = {}
    for release in read_releases(model_dir).values():
        if isinstance(release, Release):
            withdrawn.pop(release.model_sha256, None)
            if release.rollback is not None:
                withdrawn[release.rollback.from_model_sha256] = release.rollback
    return withdrawn


def _read(path: Path) -> Release | ManifestError:
    try:
        return read_release(path)
    except ManifestError as error:
        return error
