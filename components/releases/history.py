"""What the manifests of all versions say together."""

from __future__ import annotations

from pathlib import Path

from components.releases.manifest import (
    RELEASE_FILE,
    ManifestError,
    Release,
    Rollback,
    read_release,
    release_problems,
)
from components.releases.versions import SAVED_MODEL, list_versions


def read_releases(model_dir: Path) -> dict[int, Release | ManifestError]:
    """The manifest of each version, oldest first, or why it can't be read."""
    return {version: _read(path) for version, path in list_versions(model_dir).items()}


def served_version(model_dir: Path) -> int | None:
    """The version that our server serves: the highest SavedModel that fits its manifest.

    One without a manifest, which another tool has pushed, is taken as it is.
    """
    for version, path in reversed(list_versions(model_dir).items()):
        if (path / SAVED_MODEL).is_file() and not _is_damaged(path):
            return version
    return None


def _is_damaged(path: Path) -> bool:
    try:
        return (path / RELEASE_FILE).exists() and bool(release_problems(path))
    except ManifestError:
        return True


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
