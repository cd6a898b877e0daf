"""`mnist-pipeline schema propose`. The tests in tests/fork use a proposed schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.tfds_directory import synthetic_examples, write_tfds_dataset

from components.data_gate.schema import UNREVIEWED, schema_problems
from models.definition import DATASET
from models.features import CLASS_NAMES, NUM_CLASSES
from models.image_statistics import describe_images
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


def test_a_setting_out_of_range_is_a_usage_error(tmp_path: Path) -> None:
    output = tmp_path / "schema.pbtxt"
    ended = propose("--output", str(output), "--limit=-1")
    assert isinstance(ended.exception, SettingsError)  # `main` exits with status 2.
    assert "--limit: Input should be greater than or equal to 0" in str(ended.exception)
    assert not output.exists()


def test_unavailable_data_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    output = tmp_path / "schema.pbtxt"
    ended = propose("--output", str(output), "--data=tfds", f"--data-dir={tmp_path}")
    assert ended.exit_code == ExitStatus.FAILED
    assert ended.output.splitlines()[-1].startswith("Error: could not load ")
    assert not output.exists()


def test_data_of_another_definition_is_rejected(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    examples = synthetic_examples(10), synthetic_examples(5, seed=1)
    write_tfds_dataset(tmp_path, *examples, declared_names=CLASS_NAMES[::-1])
    output = tmp_path / "schema.pbtxt"
    with capfd.disabled():
        ended = propose("--output", str(output), "--data=tfds", f"--data-dir={tmp_path}")
    assert ended.exit_code == ExitStatus.DATA_REJECTED
    assert "Data rejected: " in ended.output
    assert "class 0 must be" in ended.output
    assert not output.exists()


def test_a_proposal_describes_the_data_and_matches_the_definition(tmp_path: Path) -> None:
    examples = synthetic_examples(60), synthetic_examples(20, seed=1)
    write_tfds_dataset(tmp_path / "data", *examples)
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "schema", "propose", "--data-dir=data"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"data", "schema.pbtxt"}
    proposal = (tmp_path / "schema.pbtxt").read_text()
    assert proposal.startswith(f"{UNREVIEWED}\n")
    assert f"# Measured on {80 * NUM_CLASSES:,} images of tfds:{DATASET.tfds_id}: " in proposal
    measured = [describe_images(images) for images, _ in examples]
    for name in DATASET.image_statistics:
        low = min(float(values[name].min()) for values in measured)
        high = max(float(values[name].max()) for values in measured)
        assert f"# Measured: {low:.4g} to {high:.4g}, mean " in proposal
    assert schema_problems(proposal.removeprefix(f"{UNREVIEWED}\n")) == []
