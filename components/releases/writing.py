"""Writes versions atomically: a version is either complete and durable, or absent.

Servers may read the directory at any time, processes may be killed at any time, and several may
push concurrently. A version is therefore written, under a lock, to a staging directory that servers
ignore, and published by a single rename.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from components.common import checksums
from components.common.errors import describe_os_error
from components.releases.manifest import RELEASE_FILE, FileRecord, Release, ReleaseFacts
from components.releases.versions import list_versions, next_version

LOCK_FILE = ".push.lock"
STAGING_PREFIX = ".staging-"
LOCK_SECONDS = 600.0


class PushError(Exception):
    """A model could not be pushed. No version was published."""


class RefusedModelError(PushError):
    """The model must not be pushed, or is not the expected one. No version was published."""


@dataclass(frozen=True)
class Pushed:
    """Result of a push. `up_to_date`: whether the version already existed."""

    version: int
    path: Path
    up_to_date: bool


@contextlib.contextmanager
def releasing(model_dir: Path) -> Iterator[None]:
    """Creates and locks a model's directory, and removes the leftovers of killed pushes.

    Raises:
      PushError: if another process holds the lock for LOCK_SECONDS, or the block raises an OSError.
    """
    import filelock  # Imports asyncio, which would slow down every help text.

    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(model_dir / LOCK_FILE, timeout=LOCK_SECONDS):
            for leftover in model_dir.glob(f"{STAGING_PREFIX}*"):
                shutil.rmtree(leftover)
            yield
    except filelock.Timeout as error:
        raise PushError(
            f"Another push has held {error.lock_file} for {LOCK_SECONDS:.0f} s. "
            "Nothing was pushed. Try again after it ends."
        ) from error
    except OSError as error:
        raise PushError(
            f"Can't push to {model_dir}: {describe_os_error(error)}. Nothing was pushed. Check "
            "that the directory is writable and the disk is not full, then run again."
        ) from error


def add_version(  # noqa: PLR0913 - `ReleaseStore` passes everything on
    source: Path,
    model_dir: Path,
    facts: ReleaseFacts,
    model_sha256: str,
    *,
    check: Callable[[Path], None],
    clock: Callable[[], float],
) -> Pushed:
    """Adds a version above all others. Call this only inside `releasing(model_dir)`.

    Args:
      source: directory of a SavedModel, or of a version to copy.
      model_dir: directory of the versions.
      facts: fields of the manifest.
      model_sha256: expected checksum of the model.
      check: called with the complete copy before it is published; an exception cancels the push.
      clock: returns the Unix time in seconds.

    Raises:
      RefusedModelError: if the copy has another checksum, or contains a symbolic link.
      PushError: if the copy changes during the push, or the highest version is MAX_VERSION.
    """
    now = clock()
    try:
        version = next_version(list_versions(model_dir), now)
    except ValueError as error:
        raise PushError(f"Can't push to {model_dir}: {error} Nothing was pushed.") from error
    staging = model_dir / f"{STAGING_PREFIX}{version}"
    try:
        shutil.copytree(source, staging, symlinks=True, copy_function=shutil.copyfile)
        files = _expected_files(staging, source, model_sha256)
        release = _release(facts, version, now, model_sha256, _records(staging, files))
        (staging / RELEASE_FILE).write_text(release.to_json(), encoding="utf-8")
        check(staging)
        _sync(staging)
        _read_back(staging, files)
        path = _publish(staging, model_dir / str(version))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Pushed(version, path, up_to_date=False)


def _expected_files(staging: Path, source: Path, model_sha256: str) -> dict[str, str]:
    """Returns the checksums of the files if the copy is the expected model.

    The source may have been replaced at any time, even while the push waited for the lock, so only
    the copy is checked.
    """
    if links := checksums.symbolic_links(staging):
        raise RefusedModelError(
            f"the model in {source} must not contain symbolic links, received "
            f"{', '.join(links)}. Nothing was pushed."
        )
    files = checksums.directory_sha256(staging, exclude=[RELEASE_FILE])
    received = checksums.model_sha256(files)
    if received != model_sha256:
        raise RefusedModelError(
            f"expected the model with SHA-256 {model_sha256}, but the model in {source} has "
            f"SHA-256 {received}. Nothing was pushed. Run the pipeline again."
        )
    return files


def _release(
    facts: ReleaseFacts,
    version: int,
    now: float,
    model_sha256: str,
    files: Mapping[str, FileRecord],
) -> Release:
    own = {
        "version": version,
        "created": datetime.fromtimestamp(now, timezone.utc),
        "model_sha256": model_sha256,
        "files": dict(files),
    }
    return Release(**{**dict(facts), **own})


def _records(directory: Path, files: Mapping[str, str]) -> dict[str, FileRecord]:
    return {
        name: FileRecord(sha256=sha256, bytes=(directory / name).stat().st_size)
        for name, sha256 in files.items()
    }


def _sync(directory: Path) -> None:
    """Flushes the directory and its contents to disk, to survive a power failure."""
    for path in [*directory.rglob("*"), directory]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_back(directory: Path, files: Mapping[str, str]) -> None:
    written = checksums.directory_sha256(directory, exclude=[RELEASE_FILE])
    differing = sorted(
        name for name in files.keys() | written.keys() if files.get(name) != written.get(name)
    )
    if differing:
        raise PushError(
            f"The copy changed during the push: {', '.join(differing)}. Nothing was pushed. "
            "Check the disk and that nothing else writes to the serving directory, then run again."
        )


def _publish(staging: Path, path: Path) -> Path:
    """Publishes the version with an atomic rename that never replaces an existing entry."""
    if os.path.lexists(path):  # A rename would replace an empty directory.
        raise FileExistsError(f"{path} was created by another process during the push")
    staging.rename(path)
    _sync_one(path.parent)
    return path
