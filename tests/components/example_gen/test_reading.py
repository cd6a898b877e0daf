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
def test_nothing_is_downloaded_from_a_host_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(sources.SourceUnavailableError, match=r"no-such-host\.invalid can't be"):
        reading.make_reader("tfds", str(tmp_path))


def test_unknown_source_is_refused(small_data: Path) -> None:
    with pytest.raises(ValueError, match="must be tfds or bundled, received 'auto'"):
        reading.make_reader("auto", str(small_data))


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_why_unreachable", lambda url, timeout: None)


@pytest.mark.usefixtures("reachable")
def test_a_download_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(reading, "_download", lambda directory: done.wait(60))
    with pytest.raises(
        sources.SourceUnavailableError,
        match=r"failed to prepare it in .* \(no answer within 0\.05 s\); set TFDS_DATA_DIR",
    ):
        reading.prepare_tfds(str(tmp_path), timeout=0.05)
    done.set()


@pytest.mark.usefixtures("reachable")
def test_a_download_that_another_process_finished_is_used(
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
    "named", [{"tfds_name": "no_such_data_set"}, {"tfds_version": "999.0.0"}], ids=str
)
def test_what_tfds_does_not_have_is_refused_in_one_line(
    named: dict[str, str], tmp_path: Path, define: Callable[..., None]
) -> None:
    define(**named, download_url=None, bundled_sample=None)
    with pytest.raises(sources.SourceUnavailableError, match=r"could not load .*Dataset") as caught:
        reading.make_reader("tfds", str(tmp_path))
    assert "\n" not in str(caught.value)
    assert "bundled" not in str(caught.value)
