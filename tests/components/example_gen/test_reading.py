import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from components.example_gen import reading, sources


@pytest.fixture
def unreachable(define: Callable[..., None]) -> None:
    define(download_url="http://no-such-host.invalid/")


def test_prepared_data_is_not_downloaded(small_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[str] = []
    monkeypatch.setattr(reading, "_download", downloads.append)
    reading.prepare_tfds(str(small_data))
    assert downloads == []


@pytest.mark.usefixtures("unreachable")
def test_an_unreachable_host_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sources.SourceUnavailableError, match=r"no-such-host\.invalid can't be"):
        reading.make_reader("tfds", str(tmp_path))


def test_an_unknown_source_is_rejected(small_data: Path) -> None:
    with pytest.raises(ValueError, match="must be tfds or bundled, received 'auto'"):
        reading.make_reader("auto", str(small_data))


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_why_unreachable", lambda url, timeout: None)


@pytest.mark.usefixtures("reachable")
def test_a_download_that_hangs_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(reading, "_download", lambda directory: done.wait(60))
    with pytest.raises(
        sources.SourceUnavailableError,
        match=r"failed to prepare it in .* \(no response within 0\.05 s\); set TFDS_DATA_DIR",
    ):
        reading.prepare_tfds(str(tmp_path), timeout=0.05)
    done.set()


@pytest.mark.usefixtures("reachable")
def test_data_that_another_process_prepared_meanwhile_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_race(directory: str) -> None:
        prepared = sources.prepared_dir(directory)
        prepared.mkdir(parents=True)
        (prepared / "dataset_info.json").write_text("{}")
        raise FileExistsError("Cannot rename")

    monkeypatch.setattr(reading, "_download", lose_the_race)
    reading.prepare_tfds(str(tmp_path))
    assert sources.is_prepared(str(tmp_path))


@pytest.mark.parametrize(
    "fields", [{"tfds_name": "no_such_data_set"}, {"tfds_version": "999.0.0"}], ids=str
)
def test_an_unknown_data_set_or_version_is_rejected_in_one_line(
    fields: dict[str, str], tmp_path: Path, define: Callable[..., None]
) -> None:
    define(**fields, download_url=None, bundled_sample=None)
    with pytest.raises(sources.SourceUnavailableError, match=r"could not load .*Dataset") as caught:
        reading.make_reader("tfds", str(tmp_path))
    assert "\n" not in str(caught.value)
    assert "bundled" not in str(caught.value)
