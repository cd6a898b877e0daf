import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from components.example_gen.sources import (
    ResolvedSource,
    SourceUnavailableError,
    data_stamp,
    default_data_dir,
    is_prepared,
    resolve_source,
    source_name,
    within,
)
from models.dataset_definition import BundledSample
from models.definition import DATASET

Define = Callable[..., None]
SAMPLE = BundledSample(dataset=DATASET.tfds_id, package="numpy", load="models.digits.sample.load")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    directory = tmp_path / "data" / DATASET.tfds_id
    directory.mkdir(parents=True)
    (directory / "dataset_info.json").write_text("{}")
    (directory / "train.tfrecord-00000-of-00001").write_bytes(b"12345")
    return tmp_path / "data"


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A host that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def refused_url() -> str:
    """A host that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


class _Responder(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def responding_url() -> Iterator[str]:
    """A host that responds with the HTTP status given in the path."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Responder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("data", ["auto", "tfds"])
def test_prepared_data_needs_no_network(
    data: Literal["auto", "tfds"], prepared: Path, refused_url: str, define: Define
) -> None:
    define(download_url=refused_url)
    resolved = resolve_source(data, prepared)
    assert resolved == ResolvedSource("tfds", str(prepared))


@pytest.mark.parametrize("data", ["auto", "tfds"])
def test_data_can_be_downloaded_from_a_reachable_host(
    data: Literal["auto", "tfds"], tmp_path: Path, responding_url: str, define: Define
) -> None:
    define(download_url=responding_url + "200")
    resolved = resolve_source(data, tmp_path)
    assert resolved == ResolvedSource("tfds", str(tmp_path))


def test_the_bundled_sample_needs_no_network(
    prepared: Path, refused_url: str, define: Define
) -> None:
    define(download_url=refused_url, bundled_sample=SAMPLE)
    assert resolve_source("bundled", prepared).source == "bundled"


def test_bundled_requires_a_sample(define: Define) -> None:
    define(bundled_sample=None)
    with pytest.raises(SourceUnavailableError, match=r"^data: .* defines no bundled sample of"):
        resolve_source("bundled")


def test_auto_without_a_sample_never_uses_other_data(
    tmp_path: Path, refused_url: str, define: Define
) -> None:
    define(download_url=refused_url, bundled_sample=None)
    with pytest.raises(SourceUnavailableError, match="no prepared data in") as caught:
        resolve_source("auto", tmp_path)
    assert "bundled" not in str(caught.value)


def test_without_a_download_url_tfds_is_used(tmp_path: Path, define: Define) -> None:
    define(download_url=None, bundled_sample=SAMPLE)
    assert resolve_source("auto", tmp_path) == ResolvedSource("tfds", str(tmp_path))


@pytest.mark.parametrize("host", ["silent_url", "refused_url"])
def test_auto_falls_back_to_bundled_with_a_warning(
    host: str, tmp_path: Path, request: pytest.FixtureRequest, define: Define
) -> None:
    define(download_url=request.getfixturevalue(host), bundled_sample=SAMPLE)
    resolved = resolve_source("auto", tmp_path, timeout=0.3)
    assert resolved.source == "bundled"
    assert resolved.warning is not None
    assert f"small {DATASET.title} sample" in resolved.warning
    assert f"no prepared data in {tmp_path}/{DATASET.tfds_id}" in resolved.warning


@pytest.mark.parametrize(
    ("host", "path", "reason"),
    [
        ("silent_url", "", r"no response within 0\.3 s"),
        ("refused_url", "", "no connection"),
        ("responding_url", "403", "403 Client Error"),
        ("responding_url", "503", "503 Server Error"),
    ],
)
def test_missing_data_is_reported_with_the_reason_and_the_options(  # noqa: PLR0913, PLR0917 - fixtures
    host: str,
    path: str,
    reason: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    define: Define,
) -> None:
    define(download_url=request.getfixturevalue(host) + path, bundled_sample=SAMPLE)
    with pytest.raises(SourceUnavailableError, match=reason) as caught:
        resolve_source("tfds", tmp_path, timeout=0.3)
    message = str(caught.value)
    assert f"no prepared data in {tmp_path}/{DATASET.tfds_id}" in message
    assert "127.0.0.1 can't be reached" in message
    assert "directory with prepared data, or set data to bundled" in message
    assert "\n" not in message


def test_an_unknown_host_is_unreachable(tmp_path: Path, define: Define) -> None:
    define(download_url="http://no-such-host.invalid/")
    with pytest.raises(SourceUnavailableError, match=r"no-such-host\.invalid can't be reached"):
        resolve_source("tfds", tmp_path, timeout=5)


def test_an_incomplete_directory_is_not_prepared(prepared: Path) -> None:
    assert is_prepared(str(prepared))
    directory = prepared / DATASET.tfds_id
    directory.rename(directory.with_name(f"incomplete.ABC_{DATASET.tfds_version}"))
    assert not is_prepared(str(prepared))


def test_the_data_directory_defaults_to_that_of_tfds(
    monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert resolve_source("tfds") == ResolvedSource("tfds", str(prepared))
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert default_data_dir() == Path.home() / "tensorflow_datasets"


def test_the_source_name_has_the_version_of_the_data_set() -> None:
    assert source_name("tfds") == f"tfds:{DATASET.tfds_id}"


def test_the_source_name_of_a_sample_has_the_version_of_its_package(define: Define) -> None:
    define(bundled_sample=SAMPLE)
    assert source_name("bundled").startswith("bundled:numpy-")
    define(bundled_sample=SAMPLE.model_copy(update={"package": "no-such-package"}))
    with pytest.raises(SourceUnavailableError, match="package no-such-package is missing"):
        source_name("bundled")


def test_the_stamp_is_stable(prepared: Path, define: Define) -> None:
    define(bundled_sample=SAMPLE)
    assert data_stamp("tfds", str(prepared)) == data_stamp("tfds", str(prepared))
    assert data_stamp("bundled", "") == data_stamp("bundled", str(prepared))


def test_the_stamp_changes_with_the_source_and_with_any_file(
    prepared: Path, define: Define
) -> None:
    define(bundled_sample=SAMPLE)
    records = prepared / DATASET.tfds_id / "train.tfrecord-00000-of-00001"
    stamps = [data_stamp("bundled", ""), data_stamp("tfds", str(prepared))]
    os.utime(records, ns=(1, 1))
    stamps.append(data_stamp("tfds", str(prepared)))
    records.write_bytes(b"123456")
    os.utime(records, ns=(1, 1))
    stamps.append(data_stamp("tfds", str(prepared)))
    records.unlink()
    stamps.append(data_stamp("tfds", str(prepared)))
    assert len(set(stamps)) == len(stamps)


def test_within_returns_the_result_or_raises_the_error() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_within_times_out() -> None:
    done = threading.Event()
    with pytest.raises(TimeoutError, match=r"no response within 0\.05 s"):
        within(0.05, lambda: done.wait(60))
    assert not done.is_set()
    done.set()


def test_the_module_imports_nothing_heavy() -> None:
    heavy = "{'tensorflow', 'tensorflow_datasets', 'tfx', 'apache_beam', 'mlxtend', 'numpy'}"
    code = f"import components.example_gen.sources, sys; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
