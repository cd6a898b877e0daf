"""`ReleaseStore`: all releases of one model, and the rules for them.

- A version never changes and never disappears: a push or a rollback adds a higher one.
- The live version is the highest one that holds a SavedModel that matches its manifest. A
  SavedModel without a manifest, which another tool has pushed, counts as it is.
- A model that a rollback withdrew is not pushed again; only another rollback brings it back.

TensorFlow Serving follows the highest version that holds a SavedModel, and does not verify it. It
serves another version than the live one only if someone has damaged the files of a release.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
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
from components.releases.writing import Pushed, PushError, add_version, releasing

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class WithdrawnError(PushError):
    """The model was pushed before, and a rollback withdrew it."""


def model_directory(serving_dir: str, model_name: str) -> Path:
    """Returns the directory that holds a model's versions.

    Raises:
      PushError: if serving_dir is a URL, or model_name is not fit for a directory's name.
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


@dataclass(frozen=True)
class ReleaseStore:
    """The releases below a model's directory, which need not exist yet.

    Reads the disk on each call, because other processes push meanwhile.
    """

    model_dir: Path

    def versions(self) -> dict[int, Path]:
        """Paths of all versions, oldest first; also of those that can't be served."""
        return list_versions(self.model_dir)

    def servable(self) -> dict[int, Path]:
        """Paths of the versions that hold a SavedModel, newest first; they may be damaged."""
        versions = reversed(self.versions().items())
        return {version: path for version, path in versions if (path / SAVED_MODEL).is_file()}

    def live(self) -> int | None:
        """Returns the live version (see the module's docstring), or None."""
        servable = self.servable().items()
        return next((version for version, path in servable if _is_intact(path)), None)

    def read(self, version: int) -> Release:
        """Reads a manifest, without a look at the files.

        Raises:
          ManifestError: if there is none, or it is malformed.
          KeyError: if there is no such version.
        """
        return read_release(self.versions()[version])

    def releases(self) -> Releases:
        """Reads all manifests, oldest first; an unreadable one is given as its error."""
        return {version: _read(path) for version, path in self.versions().items()}

    def problems(self, version: int) -> list[str]:
        """Compares the files of a version with its manifest (`manifest.release_problems`).

        Raises:
          KeyError: if there is no such version.
        """
        return release_problems(self.versions()[version])

    def withdrawals(self) -> dict[str, Rollback]:
        """Lists the models that rollbacks withdrew, and that no later version brought back.

        Returns:
          The rollback by the SHA-256 of the model that it withdrew.
        """
        withdrawn: dict[str, Rollback] = {}
        for release in self.releases().values():
            if isinstance(release, Release):
                withdrawn.pop(release.model_sha256, None)
                if release.rollback is not None:
                    withdrawn[release.rollback.from_model_sha256] = release.rollback
        return withdrawn

    def push(
        self,
        source: Path,
        facts: ReleaseFacts,
        check: Callable[[Path], None],
        clock: Callable[[], float] = time.time,
    ) -> Pushed:
        """Makes a SavedModel the newest version, unless it already is.

        Args:
          source: the SavedModel's directory.
          facts: for the manifest.
          check: called with the finished copy before it appears; an exception cancels the push.
          clock: seconds since 1970.

        Raises:
          WithdrawnError: if a rollback withdrew this very model: a pipeline that runs on a
            schedule must not bring it back.
          PushError: if the source is no SavedModel, the copy differs from it, another push holds
            the lock too long, the highest version is MAX_VERSION, or on any error of the disk.
        """
        with releasing(self.model_dir):
            files = checksums.directory_sha256(source)
            if SAVED_MODEL not in files:
                raise PushError(f"Expected a SavedModel in {source}, found no {SAVED_MODEL} there.")
            versions = self.versions()
            newest = max(versions, default=None)
            if newest is not None and _holds(versions[newest], files):
                return Pushed(newest, versions[newest], up_to_date=True)
            self._refuse_withdrawn(checksums.model_sha256(files))
            return add_version(source, self.model_dir, facts, check, clock)

    def roll_back(
        self,
        to_version: int | None = None,
        reason: str = "",
        clock: Callable[[], float] = time.time,
    ) -> tuple[Pushed, Rollback]:
        """Adds a version with the model of an earlier one.

        It replaces the highest version that holds a SavedModel, which TensorFlow Serving serves
        even if it is damaged. The model is not tried on examples: that was done before its own
        push, and its checksums show that it has not changed.

        Args:
          to_version: the version to return to; None chooses it (`rollback.earlier_version`).
          reason: for the manifest.
          clock: seconds since 1970.

        Returns:
          The new version, and the rollback as its manifest records it.

        Raises:
          RollbackError: if there is no such version, it is damaged, or its model is the newest.
          PushError: as `push`.
        """
        if not self.versions():
            raise RollbackError(
                f"Expected releases in {self.model_dir}, found none: there is nothing to do."
            )
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
            return add_version(source, self.model_dir, facts, lambda _: None, clock), rollback

    def _refuse_withdrawn(self, model_sha256: str) -> None:
        withdrawal = self.withdrawals().get(model_sha256)
        if withdrawal is not None:
            raise WithdrawnError(
                f"a rollback to version {withdrawal.to_version} withdrew this model, version "
                f"{withdrawal.from_version}. Nothing was pushed. To serve it again: "
                f"mnist-pipeline releases rollback --to {withdrawal.from_version}"
            )

    def _replaced(self) -> Replaced:
        version, path = next(iter(self.servable().items()), (None, None))
        if version is None or path is None:
            raise RollbackError(
                f"Expected a version in {self.model_dir} that can be served, found none."
            )
        files = checksums.directory_sha256(path, exclude=[RELEASE_FILE])
        return Replaced(version, checksums.model_sha256(files))

    def _target(self, version: int, replaced: Replaced) -> Release:
        versions = self.versions()
        if version not in versions:
            known = ", ".join(map(str, versions))
            raise RollbackError(f"Expected one of the versions {known}, received {version}.")
        if found := self.problems(version):
            raise RollbackError(
                f"Can't go back to version {version}: {'; '.join(found).rstrip('.')}. "
                "Choose another with --to."
            )
        target = self.read(version)
        if target.model_sha256 == replaced.model_sha256:
            raise RollbackError(
                f"The model of version {version} is already the newest, as version "
                f"{replaced.version}."
            )
        _check_preprocessing(target)
        return target


def _check_preprocessing(release: Release) -> None:
    """A rollback that our server refuses would leave the withdrawn model live there."""
    if not release.data.picture_preprocessing:
        return
    from models.pictures import find_preprocessing

    try:
        find_preprocessing(release.data.picture_preprocessing)
    except ImportError as error:
        raise RollbackError(
            f"Can't go back to version {release.version}: it prepares pictures with code that is "
            f"no longer here. {error}"
        ) from error


def _read(path: Path) -> Release | ManifestError:
    try:
        return read_release(path)
    except ManifestError as error:
        return error


def _is_intact(version_dir: Path) -> bool:
    return not (version_dir / RELEASE_FILE).exists() or not release_problems(version_dir)


def _holds(version_dir: Path, files: Mapping[str, str]) -> bool:
    """Whether a version is an intact release with exactly these files."""
    if release_problems(version_dir):
        return False
    return checksums.directory_sha256(version_dir, exclude=[RELEASE_FILE]) == files
