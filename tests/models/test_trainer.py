"""`run_fn` as TFX calls it, and what of a training is reproducible."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import tensorflow as tf
from support.small_trainings import history, train, train_in_subprocess, weights

from models import trainer
from models.trainer import HyperparametersError

SMALL = {"epochs": 3, "batch_size": 32, "seed": 7}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, little_data: Path) -> Path:
    """A training that was not killed, in this process."""
    return train(little_data, tmp_path_factory.mktemp("reference"), **SMALL)


def test_a_small_training_gets_above_90_percent(trained: Path) -> None:
    assert max(epoch["val_accuracy"] for epoch in history(trained)) > 0.9


def test_the_exported_weights_are_those_of_the_best_epoch(
    tmp_path: Path, little_data: Path
) -> None:
    # Too slow to change an answer, fast enough to change the biases, which begin as zeros.
    options = {"learning_rate": 1e-12, "batch_size": 100}
    first = train(little_data, tmp_path / "first", epochs=1, **options)
    third = train(little_data, tmp_path / "third", epochs=3, **options)
    assert len({epoch["val_accuracy"] for epoch in history(third)}) == 1
    assert weights(third) == weights(first)


def test_a_killed_training_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, little_data: Path, reference: Path
) -> None:
    backups = tmp_path / "backups"
    options = {**SMALL, "backup_dir": str(backups)}
    killed = train_in_subprocess(little_data, tmp_path / "killed", 2, **options)
    assert killed == -signal.SIGKILL
    assert not (tmp_path / "killed" / "Format-Serving").exists()
    assert [path.name for path in backups.glob("*/epoch-*")] == ["epoch-00000"]
    resumed = tmp_path / "resumed"
    assert train_in_subprocess(little_data, resumed, **options) == 0
    assert history(resumed) == history(reference)
    assert weights(resumed) == weights(reference)
    assert [path.name for path in (resumed / "run").glob("train/events*")]
    assert list(backups.iterdir()) == []


def test_two_trainings_end_with_the_same_weights(
    tmp_path: Path, little_data: Path, reference: Path
) -> None:
    again = train(little_data, tmp_path, **SMALL)
    assert weights(again) == weights(reference)
    assert history(again) == history(reference)


def test_a_training_whose_export_failed_is_exported_without_training_again(
    tmp_path: Path, little_data: Path, reference: Path
) -> None:
    options = {**SMALL, "backup_dir": str(tmp_path / "backups")}
    failed = tmp_path / "failed"
    failed.mkdir()
    (failed / "Format-Serving").write_text("a file where the directory should be")
    with pytest.raises(tf.errors.OpError):
        train(little_data, failed, **options)
    exported = train(little_data, tmp_path / "exported", **options)
    assert weights(exported) == weights(reference)
    for name in ("history.json", "history.csv"):
        assert (exported / "run" / name).read_text() == (failed / "run" / name).read_text()


def test_a_training_that_diverges_is_an_error_and_leaves_nothing(
    tmp_path: Path, little_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    backups = tmp_path / "backups"
    message = (
        r"^the loss became NaN or infinite in the first epoch: lower the learning rate, 1e\+30$"
    )
    # TFX reloads the module of a run_fn, and with it this class.
    with pytest.raises(trainer.TrainingDivergedError, match=message):
        train(little_data, tmp_path, epochs=2, learning_rate=1e30, backup_dir=str(backups))
    assert not (tmp_path / "Format-Serving").exists()
    assert not list(backups.glob("*/epoch-*"))
    assert capfd.readouterr().out == ""


def test_an_unknown_hyperparameter_is_an_error_before_anything_is_written(
    tmp_path: Path, little_data: Path
) -> None:
    with pytest.raises(HyperparametersError, match="unknown hyperparameter 'momentum': use one of"):
        train(little_data, tmp_path, momentum=0.9)
    assert list(tmp_path.iterdir()) == []
