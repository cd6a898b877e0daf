"""Writes a release so that it is either whole and durable, or not there.

A model server may look at any time, a process may be killed at any time, and several may push at
once. So a release is made in a directory that servers overlook, under a lock, and appears by one
rename.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import filelock

from components.common import checksums
from components.releases.history import withdrawals
from components.releases.manifest import (
    RELEASE_FILE,
    FileRecord,
    ManifestError,
    Release,
    release_problems,
)
from components.releases.versions import SAVED_MODEL, list_versions, next_version

LOCK_FILE = ".push.lock"
STAGING_PREFIX = ".staging-"
LOCK_SECONDS = 600.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class PushError(Exception):
    """A model could not be pushed; no version appeared."""


class WithdrawnError(PushError):
    """The model was pushed before, and a rollback withdrew it."""


@dataclass(frozen=True)
class Pushed:
    """Where a model is served from, and whether it was there before."""

    version: int
    path: Path
    up_to_date: bool


def model_directory(serving_dir: str, model_name: str) -> Path:
    """The directory that holds a model's versions.

    Raises:
      PushError: if it isn't one of a local file system.
    """
    if "://" in serving_dir:
        raise PushError(
            f"Expected the serving directory to be a local path, received {serving_dir!r}: "
            "a rename is not atomic elsewhere. Push to a local or mounted directory, and copy on."
        )
    if not _NAME.fullmatch(model_name):
        raise PushError(
            "Expected the model's name to be of letters, digits, '_', '.' and '-', and to start "
            f"with neither of the last two, received {model_name!r}."
        )
    return Path(serving_dir) / model_name


def push(
    source: Path,
    model_dir: Path,
    describe: Callable[[int, float, Mapping[str, FileRecord]], Release],
    check: Callable[[Path], None],
    clock: Callable[[], float] = time.time,
) -> Pushed:
    """Makes a SavedModel the newest version, unless it is that already.

    Args:
      source: the SavedModel's directory.
      model_dir: holds the versions; made if missing.
      describe: makes the manifest from the version, the time (seconds since 1970) and the files.
      check: given the directory of the finished copy before it appears; raises to call it off.
      clock: seconds since 1970.

    Raises:
      WithdrawnError: if a rollback withdrew this very model: a pipeline that runs again by itself
        must not bring it back.
      PushError: if the source is no SavedModel, the copy differs from it, another push holds the
        lock for LOCK_SECONDS, no version can come after the newest, or on any error of the disk.
    """
    with releasing(model_dir):
        files = checksums.directory_sha256(source)
        if SAVED_MODEL not in files:
            raise PushError(f"Expected a SavedModel in {source}, found no {SAVED_MODEL} there.")
        versions = list_versions(model_dir)
        newest = max(versions, default=None)
        if newest is not None and _holds(versions[newest], files):
            return Pushed(newest, versions[newest], up_to_date=True)
        withdrawal = withdrawals(model_dir).get(checksums.model_sha256(files))
        if withdrawal is not None:
            raise WithdrawnError(
                f"Nothing was pushed: a rollback to version {withdrawal.to_version} withdrew this "
                f"model, version {withdrawal.from_version}. To "
                f"serve it again: mnist-pipeline releases rollback --to {withdrawal.from_version}"
            )
        return add_version(source, model_dir, describe, check, clock)


@contextlib.contextmanager
def releasing(model_dir: Path) -> Iterator[None]:
    """Holds the lock of a model's directory, cleaned of what a killed push has left.

    Raises:
      PushError: if another one holds it for LOCK_SECONDS, or on any error of the disk in the block.
    """
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
            f"Can't push to {model_dir}: {error}. Nothing was pushed: see to it that the directory "
            "is writable and has room, and run again."
        ) from error


def add_version(
    source: Path,
    model_dir: Path,
    describe: Callable[[int, float, Mapping[str, FileRecord]], Release],
    check: Callable[[Path], None],
    clock: Callable[[], float],
) -> Pushed:
    """Makes a new version, above all others; for a caller that is `releasing`.

    Args:
      source: the SavedModel's directory, or that of a version.
      model_dir: as of `push`, and so the others.
      describe: likewise.
      check: likewise.
      clock: likewise.

    Raises:
      PushError: if the copy differs from the source, or no version can come after the newest.
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
        release = describe(version, now, _records(staging, files))
        (staging / RELEASE_FILE).write_text(release.to_json())
        _sync(staging)
        _read_back(staging, files)
        check(staging)
        path = _reveal(staging, model_dir / str(version))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Pushed(version, path, up_to_date=False)


def _holds(version_dir: Path, files: Mapping[str, str]) -> bool:
    """Whether a version is a whole release of ours with exactly these files."""
    try:
        whole = not release_problems(version_dir)
    except ManifestError:
        return False
    return whole and checksums.directory_sha256(version_dir, leave_out=[RELEASE_FILE]) == files


def _records(directory: Path, files: Mapping[str, str]) -> dict[str, FileRecord]:
    return {
        name: FileRecord(sha256=sha256, bytes=(directory / name).stat().st_size)
        for name, sha256 in files.items()
    }


def _sync(directory: Path) -> None:
    """Waits until the directory and all in it would survive a power cut."""
    for path in [*directory.rglob("*"), directory]:
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
    """Renames, so that the version appears at once; never over something that is there."""
    if os.path.lexists(path):  # A rename would replace an empty directory.
        raise FileExistsError(f"{path} appeared meanwhile, though the directory is locked")
    staging.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path
