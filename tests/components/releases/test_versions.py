from __future__ import annotations

from pathlib import Path

import pytest

from components.releases.versions import MAX_VERSION, list_versions, next_version, parse_version


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("1700000000", 1_700_000_000),
        ("007", 7),
        (str(MAX_VERSION), MAX_VERSION),
        (str(MAX_VERSION + 1), None),
        ("9" * 30, None),
        ("0", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1_000", None),
        ("٣", None),
        (" 1", None),
        ("1\n", None),
        ("", None),
        (".staging-5", None),
        (".5", None),
        ("latest", None),
    ],
)
def test_a_version_is_a_positive_int64(name: str, version: int | None) -> None:
    assert parse_version(name) == version


def test_versions_are_listed_oldest_first_including_files_and_links(tmp_path: Path) -> None:
    for name in ("10", "9", ".staging-11", "latest", "2.bak"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file also reserves its number")
    (tmp_path / "13").symlink_to("nowhere")
    assert list(list_versions(tmp_path).items()) == [
        (version, tmp_path / str(version)) for version in (9, 10, 12, 13)
    ]


def test_a_missing_directory_has_no_versions(tmp_path: Path) -> None:
    assert list_versions(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("existing", "now", "version"),
    [
        ([], 1000.9, 1000),
        ([999], 1000.9, 1000),
        ([1000], 1000.9, 1001),
        ([5000, 3], 1000.9, 5001),
        ([], 0.0, 1),
        ([], -5.0, 1),
        ([MAX_VERSION - 1], 1000.0, MAX_VERSION),
    ],
)
def test_the_next_version_is_the_time_or_above_the_newest_version(
    existing: list[int], now: float, version: int
) -> None:
    assert next_version(existing, now) == version


def test_there_is_no_version_above_the_maximum() -> None:
    with pytest.raises(ValueError, match=f"version {MAX_VERSION} is the largest that TensorFlow"):
        next_version([MAX_VERSION], 1000.0)
