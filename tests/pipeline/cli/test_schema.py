"""`mnist-pipeline schema propose` refuses without harm; tests/fork shows a proposal being used."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.tfds_directory import synthetic_examples, write_tfds_dataset

from models.features import CLASS_NAMES
from pipeline.cli.schema import schema
from pipeline.exit_status import ExitStatus
from pipeline.settings import SettingsError


def propose(*options: str) -> Result:
    return CliRunner().invoke(schema, ["propose", *options])


def test_a_file_is_not_overwritten_without_force(tmp_path: Path) -> None:
    output = tmp_path / "schema.pbtxt"
    output.write_text("mine")
    ended = propose("--output", str(output))
    assert ended.exit_code == ExitStatus.USAGE
    assert "exists: add --force to overwrite it" in ended.output
    assert output.read_text() == "mine"


def test_a_setting_out_of_range_is_wrong_usage(tmp_path: Path) -> None:
    output = tmp_path / "schema.pbtxt"
    ended = propose("--output", str(output), "--limit=-1")
    assert isinstance(ended.exception, SettingsError)  # `main` makes it exit status 2.
    assert "limit: Input should be greater than or equal to 0" in str(ended.exception)
    assert not output.exists()


def test_unavailable_data_get_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    output = tmp_path / "schema.pbtxt"
    ended = propose("--output", str(output), "--data=tfds", f"--data-dir={tmp_path}")
    assert ended.exit_code == ExitStatus.FAILED
    assert ended.output.splitlines()[-1].startswith("Error: could not load ")
    assert not output.exists()


def test_data_of_another_definition_are_rejected(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    examples = synthetic_examples(10), synthetic_examples(5, seed=1)
    write_tfds_dataset(tmp_path, *examples, declared_names=CLASS_NAMES[::-1])
    output = tmp_path / "schema.pbtxt"
    with capfd.disabled():
        ended = propose("--output", str(output), "--data=tfds", f"--data-dir={tmp_path}")
    assert ended.exit_code == ExitStatus.DATA_REJECTED
    assert "Data rejected: " in ended.output
    assert "class names must be" in ended.output
    assert not output.exists()
    assert output.with_suffix(".log").is_file()
