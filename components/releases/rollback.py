"""Goes back to an earlier release.

A model server follows the highest version, so going back is going forward: the earlier model
becomes a new version, in the same way as a push. It appears by one rename, no version ever changes
or vanishes, and the history tells what was live when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from components.common import checksums
from components.releases.history import read_releases
from components.releases.manifest import (
    RELEASE_FILE,
    FileRecord,
    ManifestError,
    Release,
    Rollback,
    read_release,
    release_problems,
)
from components.releases.store import Pushed, add_version, releasing
from components.releases.versions import list_versions, live_version


class RollbackError(Exception):
    """There is nothing to go back to, or it can't be served; nothing has changed."""


def roll_back(
    model_dir: Path,
    to_version: int | None = None,
    reason: str = "",
    clock: Callable[[], float] = time.time,
) -> tuple[Pushed, Rollback]:
    """Makes the model of an earlier version the newest version.

    It is not tried on examples, as a push does: it was before its own push, and its digests say
    that it is still the same.

    Args:
      model_dir: holds the versions.
      to_version: the version to go back to, or any other one. None chooses what was live before the
        live one, with another model; a live version that is itself a rollback counts as the version
        that it went back to, so that the next rollback goes further back, and not to what the last
        one withdrew.
      reason: for the manifest.
      clock: seconds since 1970.

    Returns:
      The new version, and what its manifest says of the rollback.

    Raises:
      RollbackError: if there is no such version, it is not whole, or its model is live already.
      PushError: as `components.releases.store.push`.
    """
    if not list_versions(model_dir):
        raise RollbackError(
            f"Expected releases in {model_dir}, found none: there is nothing to do."
        )
    with releasing(model_dir):
        live = _live(model_dir)
        target = _target(model_dir, live, to_version)
        rollback = Rollback(
            from_version=live.version,
            from_model_sha256=live.model_sha256,
            to_version=target.version,
            reason=reason,
        )

        def describe(version: int, now: float, files: Mapping[str, FileRecord]) -> Release:
            created = datetime.fromtimestamp(now, timezone.utc)
            update = {"version": version, "created": created, "files": dict(files)}
            return target.model_copy(update={**update, "rollback": rollback})

        source = list_versions(model_dir)[target.version]
        return add_version(source, model_dir, describe, _no_check, clock), rollback


class _Live(NamedTuple):
    """The live version by its files, whatever its manifest says: it may be damaged.

    Attributes:
      origin: the version that the pipeline pushed with its model, if it is a rollback; else itself.
    """

    version: int
    origin: int
    model_sha256: str


def _live(model_dir: Path) -> _Live:
    version = live_version(model_dir)
    if version is None:
        raise RollbackError(f"Expected a version in {model_dir} that can be served, found none.")
    path = list_versions(model_dir)[version]
    sha256 = checksums.model_sha256(checksums.directory_sha256(path, leave_out=[RELEASE_FILE]))
    return _Live(version, _origin(model_dir, version), sha256)


def _origin(model_dir: Path, version: int) -> int:
    release = read_releases(model_dir).get(version)
    if isinstance(release, Release) and release.rollback and release.rollback.to_version < version:
        return _origin(model_dir, release.rollback.to_version)
    return version


def _target(model_dir: Path, live: _Live, to_version: int | None) -> Release:
    version = _earlier_version(model_dir, live) if to_version is None else to_version
    versions = list_versions(model_dir)
    if version not in versions:
        known = ", ".join(map(str, versions))
        raise RollbackError(f"Expected one of the versions {known}, received {version}.")
    try:
        release = read_release(versions[version])
        problems = release_problems(versions[version])
    except ManifestError as error:
        raise RollbackError(f"Can't go back to version {version}: {error}") from error
    if problems:
        raise RollbackError(
            f"Can't go back to version {version}: {'; '.join(problems)}. Choose another with --to."
        )
    if release.model_sha256 == live.model_sha256:
        raise RollbackError(
            f"The model of version {version} is live already, as version {live.version}."
        )
    return release


def _earlier_version(model_dir: Path, live: _Live) -> int:
    for version, release in reversed(read_releases(model_dir).items()):
        if version >= live.origin or isinstance(release, ManifestError):
            continue
        if release.model_sha256 != live.model_sha256:
            return _origin(model_dir, version)
    raise RollbackError(
        f"Expected a release of another model before version {live.origin}, found none: "
        "name the one to go to with --to."
    )


def _no_check(staging: Path) -> None:
    """See `roll_back`."""
