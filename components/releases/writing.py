"""Writes a version so that it is either complete and durable, or absent.

A model server may look at any time, a process may be killed at any time, and several may push at
once. So a version is written under a lock to a directory that servers ignore, and appears by one
rename.
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
    """A model could not be pushed; no version appeared."""


@dataclass(frozen=True)
class Pushed:
    """A version, and whether it existed before the push."""

    version: int
    path: Path
    up_to_date: bool


@contextlib.contextmanager
def releasing(model_dir: Path) -> Iterator[None]:
    """Locks a model's directory, made if missing, and removes what a killed push left behind.

    Raises:
      PushError: if another process holds the lock for LOCK_SECONDS, or on any OSError in the block.
    """
    import filelock  # It imports asyncio, which would delay every help text.

    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(model_dir / LOCK_FILE, timeout=LOCK_SECONDS):
            for leftover in model_dir.glob(f"{STAGING_PREFIX}*"):
                shutil.rmtree(leftover)
            yield
    except filelock.Timeout as error:
        raise PushError(
            f"Another push has held {error.lock_file} for {LOCK_SECONDS:.0f} s: "
            "try again when it has ended."
        ) from error
    except OSError as error:
        raise PushError(
            f"Can't push to {model_dir}: {describe_os_error(error)}. Nothing was pushed: make sure "
            "that the directory is writable and has room, and run again."
        ) from error


def add_version(
    source: Path,
    model_dir: Path,
    facts: ReleaseFacts,
    check: Callable[[Path], None],
    clock: Callable[[], float],
) -> Pushed:
    """Adds a version above all others. The caller must be `releasing`.

    Args:
      source: directory of a SavedModel, or of a version.
      model_dir: holds the versions.
      facts: for the manifest.
      check: called with the finished copy before it appears; an exception cancels the push.
      clock: seconds since 1970.

    Raises:
      PushError: if the copy differs from the source, or the highest version is MAX_VERSION.
    """
    files = checksums.directory_sha256(source, leave_out=[RELEASE_FILE])
    now = clock()
    try:
        version = next_version(list_versions(model_dir), now)
    except ValueError as error:
        raise PushError(f"Can't push to {model_dir}: {error}") from error
    staging = model_dir / f"{STAGING_PREFIX}{version}"
    try:
        shutil.copytree(source, staging, copy_function=shutil.copyfile)
        release = _release(facts, version, now, _records(staging, files))
        (staging / RELEASE_FILE).write_text(release.to_json(), encoding="utf-8")
        _sync(staging)
        _read_back(staging, files)
        check(staging)
        path = _reveal(staging, model_dir / str(version))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Pushed(version, path, up_to_date=False)


def _release(
    facts: ReleaseFacts, version: int, now: float, files: Mapping[str, FileRecord]
) -> Release:
    own = {
        "version": version,
        "created": datetime.fromtimestamp(now, timezone.utc),
        "model_sha256": checksums.model_sha256({name: file.sha256 for name, file in files.items()}),
        "files": dict(files),
    }
    return Release(**{**dict(facts), **own})


def _records(directory: Path, files: Mapping[str, str]) -> dict[str, FileRecord]:
    return {
        name: FileRecord(sha256=sha256, bytes=(directory / name).stat().st_size)
        for name, sha256 in files.items()
    }


def _sync(directory: Path) -> None:
    """Waits until the directory and all in it would survive a power cut."""
    for path in [*directory.rglob("*"), directory]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_back(directory: Path, files: Mapping[str, str]) -> None:
    written = checksums.directory_sha256(directory, leave_out=[RELEASE_FILE])
    differing = sorted(
        name for name in files.keys() | written.keys() if files.get(name) != written.get(name)
    )
    if differing:
        raise PushError(
            f"Expected the copy to equal the model, but {', '.join(differing)} differs. "
            "Nothing was pushed: check the disk, and that nothing writes to the model; run again."
        )


def _reveal(staging: Path, path: Path) -> Path:
    """Renames, so that the version appears at once; never over an existing one."""
    if os.path.lexists(path):  # A rename would replace an empty directory.
        raise FileExistsError(f"{path} appeared meanwhile, though the directory is locked")
    staging.rename(path)
    _sync_one(path.parent)
    return path
