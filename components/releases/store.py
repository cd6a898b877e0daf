"""`ReleaseStore`: all releases of one model, and their rules.

- Versions are immutable and permanent. A push or a rollback adds a higher version.
- The live version is the highest version with a SavedModel that matches its manifest. A SavedModel
  without a manifest, pushed by another tool, also qualifies.
- A rolled-back model is never pushed again. Only another rollback can restore it.

TensorFlow Serving loads the highest version with a SavedModel, without verifying it. It therefore
serves a version other than the live one only if the files of a release were damaged.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.common import checksums
from components.releases.manifest import (
    RELEASE_FILE,
    ManifestError,
    Release,
    ReleaseFacts,
    Rollback,
    read_release,
    release_problems,
)
from components.releases.rollback import Releases, Replaced, RollbackError, earlier_version
from components.releases.versions import SAVED_MODEL, list_versions
from components.releases.writing import (
    Pushed,
    PushError,
    RefusedModelError,
    add_version,
    releasing,
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class RolledBackError(RefusedModelError):
    """The model was pushed before and has been rolled back."""


def model_directory(serving_dir: str, model_name: str) -> Path:
    """Returns the directory of a model's versions.

    Raises:
      PushError: if serving_dir is a URL, or model_name is not a valid directory name.
    """
    if "://" in serving_dir:
        raise PushError(
            f"The serving directory must be a local path, because releases need atomic renames; "
            f"received {serving_dir!r}. Use a local or mounted directory."
        )
    if not _NAME.fullmatch(model_name):
        raise PushError(
            "The model name must consist of letters, digits, '_', '.' and '-', and must not start "
            f"with '.' or '-'; received {model_name!r}."
        )
    return Path(serving_dir) / model_name


@dataclass(frozen=True)
class ReleaseStore:
    """The releases in a model's directory, which doesn't have to exist yet.

    Every call reads the disk, because other processes may push at any time.
    """

    model_dir: Path

    def versions(self) -> dict[int, Path]:
        """Returns the paths of all versions, oldest first, whether or not they can be served."""
        return list_versions(self.model_dir)

    def servable(self) -> dict[int, Path]:
        """Returns the paths of all versions with a SavedModel, newest first, even if damaged."""
        versions = reversed(self.versions().items())
        return {version: path for version, path in versions if (path / SAVED_MODEL).is_file()}

    def live(self) -> int | None:
        """Returns the live version (see the module's docstring), or None."""
        servable = self.servable().items()
        return next((version for version, path in servable if _is_intact(path)), None)

    def read(self, version: int) -> Release:
        """Reads the manifest of a version without verifying the files.

        Raises:
          ManifestError: if the manifest is missing or malformed.
          KeyError: if there is no such version.
        """
        return read_release(self.versions()[version])

    def releases(self) -> Releases:
        """Reads all manifests, oldest first, with an error in place of an unreadable one."""
        return {version: _read(path) for version, path in self.versions().items()}

    def problems(self, version: int) -> list[str]:
        """Compares the files of a version with its manifest (`manifest.release_problems`).

        Raises:
          KeyError: if there is no such version.
        """
        return release_problems(self.versions()[version])

    def rolled_back_models(self) -> dict[str, Rollback]:
        """Finds the models that were rolled back and not restored by a later version.

        Returns:
          The rollbacks, by the SHA-256 of the rolled-back model.
        """
        rollbacks: dict[str, Rollback] = {}
        for release in self.releases().values():
            if isinstance(release, Release):
                rollbacks.pop(release.model_sha256, None)
                if release.rollback is not None:
                    rollbacks[release.rollback.from_model_sha256] = release.rollback
        return rollbacks

    def push(
        self,
        source: Path,
        facts: ReleaseFacts,
        model_sha256: str,
        check: Callable[[Path], None],
        clock: Callable[[], float] = time.time,
    ) -> Pushed:
        """Pushes a SavedModel as the newest version, unless it already is.

        Args:
          source: directory of the SavedModel.
          facts: fields of the manifest.
          model_sha256: checksum of the model that may be pushed. Another model is refused, even if
            it replaces this one while the push waits for the lock.
          check: called with the complete copy before it is published; an exception cancels the
            push.
          clock: returns the Unix time in seconds.

        Raises:
          RolledBackError: if this model was rolled back, because a scheduled pipeline must not
            restore it.
          RefusedModelError: if the source is not a SavedModel, has another checksum, or contains a
            symbolic link.
          PushError: if the copy changes, another push holds the lock for too long, the highest
            version is MAX_VERSION, or an OSError occurs.
        """
        with releasing(self.model_dir):
            if not (source / SAVED_MODEL).is_file():
                raise RefusedModelError(
                    f"expected a SavedModel in {source}, found no {SAVED_MODEL} there. "
                    "Nothing was pushed."
                )
            versions = self.versions()
            newest = max(versions, default=None)
            if (
                newest is not None
                and _holds(versions[newest], model_sha256)
                and checksums.model_sha256(checksums.directory_sha256(source)) == model_sha256
            ):
                return Pushed(newest, versions[newest], up_to_date=True)
            self._check_not_rolled_back(model_sha256)
            return add_version(
                source, self.model_dir, facts, model_sha256, check=check, clock=clock
            )

    def roll_back(
        self,
        to_version: int | None = None,
        reason: str = "",
        clock: Callable[[], float] = time.time,
    ) -> tuple[Pushed, Rollback]:
        """Adds a version with the model of an earlier version.

        The new version replaces the highest version with a SavedModel, which TensorFlow Serving
        serves even if it is damaged. There is no smoke check, because the model passed it before
        its own push, and its checksums show that it has not changed.

        Args:
          to_version: the version to restore; None selects it with `rollback.earlier_version`.
          reason: recorded in the manifest.
          clock: returns the Unix time in seconds.

        Returns:
          The new version, and the rollback recorded in its manifest.

        Raises:
          RollbackError: if there is no such version, it is damaged, or its model is the newest.
          PushError: if the new version can't be written, as in `push`.
        """
        if not self.versions():
            raise RollbackError(f"No releases found in {self.model_dir}. Nothing to roll back.")
        with releasing(self.model_dir):
            replaced = self._replaced()
            if to_version is None:
                to_version = earlier_version(self.releases(), replaced)
            target = self._target(to_version, replaced)
            rollback = Rollback(
                from_version=replaced.version,
                from_model_sha256=replaced.model_sha256,
                to_version=to_version,
                reason=reason,
            )
            source = self.versions()[to_version]
            facts = target.model_copy(update={"rollback": rollback})
            pushed = add_version(
                source,
                self.model_dir,
                facts,
                target.model_sha256,
                check=lambda _: None,
                clock=clock,
            )
            return pushed, rollback

    def _check_not_rolled_back(self, model_sha256: str) -> None:
        rollback = self.rolled_back_models().get(model_sha256)
        if rollback is not None:
            raise RolledBackError(
                f"this model, version {rollback.from_version}, was rolled back to version "
                f"{rollback.to_version}. Nothing was pushed. To release it again: "
                f"mnist-pipeline releases rollback --to {rollback.from_version}"
            )

    def _replaced(self) -> Replaced:
        version, path = next(iter(self.servable().items()), (None, None))
        if version is None or path is None:
            raise RollbackError(
                f"No version in {self.model_dir} has a {SAVED_MODEL}. Nothing to roll back."
            )
        files = checksums.directory_sha256(path, exclude=[RELEASE_FILE])
        return Replaced(version, checksums.model_sha256(files))

    def _target(self, version: int, replaced: Replaced) -> Release:
        versions = self.versions()
        if version not in versions:
            known = ", ".join(map(str, versions))
            raise RollbackError(f"Version {version} doesn't exist. Choose one of {known}.")
        if found := self.problems(version):
            raise RollbackError(
                f"Can't roll back to version {version}: {'; '.join(found).rstrip('.')}. "
                "Choose another version with --to."
            )
        target = self.read(version)
        if target.model_sha256 == replaced.model_sha256:
            raise RollbackError(
                f"The newest version, {replaced.version}, already has the model of version "
                f"{version}. Choose another version with --to."
            )
        _check_preprocessing(target)
        return target


def _check_preprocessing(release: Release) -> None:
    """Rejects a release that this project's server can't load and would therefore ignore."""
    if not release.data.picture_preprocessing:
        return
    from models.pictures import find_preprocessing

    try:
        find_preprocessing(release.data.picture_preprocessing)
    except ImportError as error:
        raise RollbackError(
            f"Can't roll back to version {release.version}: its picture preprocessing no longer "
            f"exists in this code. {error}"
        ) from error


def _read(path: Path) -> Release | ManifestError:
    try:
        return read_release(path)
    except ManifestError as error:
        return error


def _is_intact(version_dir: Path) -> bool:
    return not (version_dir / RELEASE_FILE).exists() or not release_problems(version_dir)


def _holds(version_dir: Path, model_sha256: str) -> bool:
    """Whether a version is an intact release of the model with this checksum."""
    if release_problems(version_dir):
        return False
    return read_release(version_dir).model_sha256 == model_sha256
