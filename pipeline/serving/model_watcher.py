"""Watches for releases. Loads new versions in the background, then switches to them."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.releases.manifest import ManifestError
from components.releases.store import ReleaseStore
from pipeline.serving.live_model import LiveModel, load_live_model
from pipeline.serving.metrics import Metrics
from pipeline.serving.served_model import native_messages_hidden

_log = logging.getLogger(__name__)
_REMEMBERED = 20
_LOADING = "LOADING"

_Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class VersionStatus:
    """The state of a version, with TensorFlow Serving's names.

    Attributes:
      state: LOADING, AVAILABLE or END.
      error_code: OK, or the name of a gRPC status.
      error_message: the reason why the version is not served; empty if OK.
    """

    state: str
    error_code: str = "OK"
    error_message: str = ""


class ModelWatcher:
    """A thread that keeps the live version in memory.

    `ReleaseStore.live` defines the live version. If a version can't be loaded, the next lower
    version is served, and loading is retried only after the files of the failed version change. A
    deleted version is served until another version is loaded.
    """

    def __init__(self, store: ReleaseStore, poll_seconds: float, metrics: Metrics) -> None:
        """Creates the thread without starting it.

        Args:
          store: the releases. The directory may be created later.
          poll_seconds: seconds between checks for new versions.
          metrics: metrics to update.
        """
        self._store = store
        self._poll_seconds = poll_seconds
        self._metrics = metrics
        self._live: LiveModel | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, _Fingerprint] = {}
        self._checked_once = threading.Event()
        self._stopping = threading.Event()

    @property
    def live(self) -> LiveModel | None:
        """The live model; None if no model has been loaded."""
        return self._live

    @property
    def statuses(self) -> Mapping[int, VersionStatus]:
        """States of recent versions, newest first."""
        return dict(sorted(self._statuses.items(), reverse=True))

    @property
    def loading(self) -> bool:
        """Whether a version is being loaded."""
        return any(status.state == _LOADING for status in self._statuses.copy().values())

    def start(self, on_first_check: Callable[[], None]) -> None:
        """Starts the thread.

        Args:
          on_first_check: called once the first model is live or no model was found.
        """
        self._thread = threading.Thread(target=self._poll, args=[on_first_check], name="watcher")
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread after the current load has finished."""
        self._stopping.set()
        self._thread.join()

    def _poll(self, on_first_check: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                self._check()
            except Exception:  # noqa: BLE001 - continue serving the live model
                _log.exception("Could not check for new versions in %s", self._store.model_dir)
            if not self._checked_once.is_set():
                self._checked_once.set()
                on_first_check()
            self._stopping.wait(self._poll_seconds)

    def _check(self) -> None:
        versions = self._store.servable()
        if not versions and not self._checked_once.is_set():
            _log.warning("No model in %s yet: push one with `make run`.", self._store.model_dir)
        self._failed = {key: value for key, value in self._failed.items() if key in versions}
        for version, path in versions.items():
            if self._live is not None and version == self._live.version:
                return
            if self._try(version, path) or self._stopping.is_set():
                return

    def _try(self, version: int, path: Path) -> bool:
        """Makes a version live; returns False if it can't be loaded."""
        fingerprint = _fingerprint(path)
        if self._failed.get(version) == fingerprint:
            return False
        self._statuses[version] = VersionStatus(_LOADING)
        _log.info("Loading version %d.", version)
        try:
            with native_messages_hidden():
                _import_tensorflow()
                model = load_live_model(path)
        except Exception as error:  # noqa: BLE001 - after any error, serve another version
            code = "DATA_LOSS" if isinstance(error, ManifestError) else "INTERNAL"
            self._failed[version] = fingerprint
            self._statuses[version] = VersionStatus("END", code, str(error))
            self._metrics.load_failures.inc()
            _log.error("Version %d is not served: %s", version, error)
            return False
        self._replace(model)
        return True

    def _replace(self, model: LiveModel) -> None:
        old = self._live
        self._live = model
        if old is not None:
            self._statuses[old.version] = VersionStatus("END")
        self._statuses[model.version] = VersionStatus("AVAILABLE")
        for version in sorted(self._statuses)[:-_REMEMBERED]:
            del self._statuses[version]
        self._metrics.live_version.set(model.version)
        self._metrics.loads.inc()
        accuracy = "unknown" if model.accuracy is None else f"{model.accuracy:.2%}"
        _log.info("Version %d is live (accuracy %s).", model.version, accuracy)
        del old
        gc.collect()  # Models have reference cycles, and open requests may refer to them.


def _import_tensorflow() -> None:
    """Imports TensorFlow and exempts its many objects from garbage collection.

    They would add a pause of 0.2 s to each full collection.
    """
    if "tensorflow" not in sys.modules:
        importlib.import_module("tensorflow")
        gc.collect()
        gc.freeze()


def _fingerprint(path: Path) -> _Fingerprint:
    """Returns the sizes and modification times of a version's files."""
    entries = ((entry, entry.lstat()) for entry in sorted(path.rglob("*")))
    return tuple((str(entry), stat.st_size, stat.st_mtime_ns) for entry, stat in entries)
