from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from components.common.checksums import directory_sha256, file_sha256, model_sha256


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "variables").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "variables" / "data").write_bytes(bytes(3_000_000))
    (tmp_path / "Z").write_bytes(b"")
    return tmp_path


def test_a_file_larger_than_a_chunk_has_the_right_checksum(model: Path) -> None:
    expected = hashlib.sha256(bytes(3_000_000)).hexdigest()
    assert file_sha256(model / "variables" / "data") == expected


def test_files_are_listed_by_relative_path(model: Path) -> None:
    assert list(directory_sha256(model)) == ["Z", "saved_model.pb", "variables/data"]


def test_files_can_be_excluded(model: Path) -> None:
    assert list(directory_sha256(model, exclude=["Z"])) == ["saved_model.pb", "variables/data"]


def test_a_missing_directory_has_no_files(tmp_path: Path) -> None:
    assert directory_sha256(tmp_path / "missing") == {}


def test_the_checksum_of_a_model_matches_sha256sum(model: Path) -> None:
    command = "find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(
        command, shell=True, cwd=model, capture_output=True, text=True, check=True
    ).stdout
    assert model_sha256(directory_sha256(model)) == printed.split()[0]


@pytest.mark.parametrize("change", ["content", "name", "new_file"])
def test_the_checksum_of_a_model_changes_with_any_file(model: Path, change: str) -> None:
    before = model_sha256(directory_sha256(model))
    if change == "content":
        (model / "variables" / "data").write_bytes(bytes(2_999_999) + b"\1")
    elif change == "name":
        (model / "Z").rename(model / "Y")
    else:
        (model / "variables" / "new").touch()
    assert model_sha256(directory_sha256(model)) != before
