"""`run_fn`, called with the arguments that TFX passes, and the reproducibility of training."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from support.second_architecture import build_second
from support.small_trainings import (
    graph_functions,
    history,
    serialize,
    train,
    train_in_subprocess,
    weights,
)
from support.tfds_directory import synthetic_examples

from models import trainer
from models.architectures import ARCHITECTURES, Builder
from models.features import IMAGE_SHAPE, NUM_CLASSES, PROBABILITIES
from models.hyperparameters import Hyperparameters
from models.progress import AUGMENTED_FILE, HISTORY_FILE
from models.trainer import HyperparametersError

SMALL = {"epochs": 3, "batch_size": 32, "seed": 7}
SECOND = {**SMALL, "architecture": "second"}


@pytest.fixture(autouse=True)
def second_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "second", build_second)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, little_data: Path) -> Path:
    """The output of an uninterrupted training run in this process."""
    return train(little_data, tmp_path_factory.mktemp("reference"), **SMALL)


def test_training_on_synthetic_images_exceeds_90_percent_accuracy(trained: Path) -> None:
    assert max(epoch["val_accuracy"] for epoch in history(trained)) > 0.9


def test_the_weights_of_the_best_epoch_are_exported(tmp_path: Path, little_data: Path) -> None:
    # This rate is too low to change a prediction but high enough to change the zero biases.
    options = {"recipe": "notebook", "learning_rate": 1e-12, "batch_size": 100}
    first = train(little_data, tmp_path / "first", epochs=1, **options)
    third = train(little_data, tmp_path / "third", epochs=3, **options)
    assert len({epoch["val_accuracy"] for epoch in history(third)}) == 1
    assert weights(third) == weights(first)


def _kill_and_resume(data: Path, directory: Path, options: dict[str, Any]) -> Path:
    """Kills training at the end of its second epoch, before the backup, and resumes it."""
    backups = directory / "backups"
    options = {**options, "backup_dir": str(backups)}
    killed = train_in_subprocess(data, directory / "killed", 2, **options)
    assert killed == -signal.SIGKILL
    assert not (directory / "killed" / "Format-Serving").exists()
    assert [path.name for path in backups.glob("*/epoch-*")] == ["epoch-00000"]
    resumed = directory / "resumed"
    assert train_in_subprocess(data, resumed, **options) == 0
    assert list(backups.iterdir()) == []
    return resumed


def test_training_resumed_after_a_kill_matches_uninterrupted_training(
    tmp_path: Path, little_data: Path, reference: Path
) -> None:
    resumed = _kill_and_resume(little_data, tmp_path, SMALL)
    assert history(resumed) == history(reference)
    assert weights(resumed) == weights(reference)
    assert [path.name for path in (resumed / "run").glob("train/events*")]


def test_a_second_architecture_can_be_resumed_and_exported(
    tmp_path: Path, little_data: Path
) -> None:
    uninterrupted = train(little_data, tmp_path / "uninterrupted", **SECOND)
    resumed = _kill_and_resume(little_data, tmp_path, SECOND)
    assert history(resumed) == history(uninterrupted)
    assert weights(resumed) == weights(uninterrupted)
    images, labels = synthetic_examples(1)
    examples = tf.constant([serialize(*example) for example in zip(images, labels, strict=True)])
    model = tf.saved_model.load(str(resumed / "Format-Serving"))
    output = model.signatures["serving_default"](examples=examples)
    assert output[PROBABILITIES].shape == (NUM_CLASSES, NUM_CLASSES)


def _types(output: Path) -> set[int]:
    """Returns the types of all values that the exported graph computes."""
    nodes = [node for function in graph_functions(output) for node in function.node_def]
    return {value.type for node in nodes for value in node.attr.values()}


def test_training_in_bfloat16_exports_a_model_in_float32(tmp_path: Path, little_data: Path) -> None:
    outputs = {
        precision: train(little_data, tmp_path / precision, **SMALL, precision=precision)
        for precision in ("bfloat16", "float32")
    }
    for precision, output in outputs.items():
        assert json.loads((output / "run" / HISTORY_FILE).read_text())["precision"] == precision
        assert tf.bfloat16.as_datatype_enum not in _types(output)
        assert tf.float32.as_datatype_enum in _types(output)
    assert weights(outputs["bfloat16"]) != weights(outputs["float32"])


def test_a_small_data_set_gets_more_epochs(tmp_path: Path, little_data: Path) -> None:
    # 20 images of each class make 2 batches of at most 10 images for each class.
    options = {"batch_size": 10 * NUM_CLASSES, "early_stopping_patience": 9}
    output = train(little_data, tmp_path, epochs=2, min_steps=5, **options)
    assert len(history(output)) == 3


def test_a_small_data_set_gets_a_longer_patience(tmp_path: Path, little_data: Path) -> None:
    # The rate is too low to improve the accuracy. Training would stop in the second epoch.
    options = {"batch_size": 10 * NUM_CLASSES, "learning_rate": 1e-12, "monitor": "val_accuracy"}
    output = train(
        little_data, tmp_path, epochs=1, min_steps=6, early_stopping_patience=1, **options
    )
    assert len(history(output)) == 3


def test_the_notebooks_recipe_writes_no_augmented_images(
    tmp_path: Path, little_data: Path, reference: Path
) -> None:
    output = train(little_data, tmp_path, **SMALL, recipe="notebook")
    assert not (output / "run" / AUGMENTED_FILE).exists()
    assert (reference / "run" / AUGMENTED_FILE).is_file()


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_training_accepts_the_smallest_and_the_largest_seed(
    tmp_path: Path, little_data: Path, seed: int
) -> None:
    output = train(little_data, tmp_path, **{**SECOND, "seed": seed, "epochs": 2})
    assert len(history(output)) == 2


def test_training_is_reproducible(tmp_path: Path, little_data: Path, reference: Path) -> None:
    repeated = train(little_data, tmp_path, **SMALL)
    assert weights(repeated) == weights(reference)
    assert history(repeated) == history(reference)


def test_a_failed_export_is_retried_without_training_again(
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


def test_diverging_training_is_an_error_and_exports_nothing(
    tmp_path: Path,
    little_data: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(parameters: Hyperparameters) -> keras.Model:
        images = keras.Input(IMAGE_SHAPE)
        overflow = keras.layers.Rescaling(1e38)(keras.layers.Rescaling(1e38)(images))
        flat = keras.layers.Flatten()(overflow)
        return keras.Model(
            images, keras.layers.Dense(NUM_CLASSES, "softmax", dtype="float32")(flat)
        )

    monkeypatch.setitem(ARCHITECTURES, "second", build)
    backups = tmp_path / "backups"
    message = r"^the loss became NaN .* in the first epoch; lower the learning rate from 0\.003$"
    # TFX reloads the module of the run_fn, which redefines this class.
    with pytest.raises(trainer.TrainingDivergedError, match=message):
        train(little_data, tmp_path, **{**SECOND, "backup_dir": str(backups)})
    assert not (tmp_path / "Format-Serving").exists()
    assert not list(backups.glob("*/epoch-*"))
    assert capfd.readouterr().out == ""


def _network(classes: int = NUM_CLASSES) -> keras.Model:
    layers = [keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax")]
    return keras.Sequential([keras.Input(IMAGE_SHAPE), *layers])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda _: keras.Model(),
            r"expected a Sequential or functional model whose outputs are .* received \[\]$",
        ),
        (
            lambda _: _network(NUM_CLASSES + 1),
            rf"expected a Sequential .* received \[\(\(None, {NUM_CLASSES + 1}\), 'bfloat16'\)\]$",
        ),
        (
            lambda _: _network(),
            rf"expected a Sequential .* received \[\(\(None, {NUM_CLASSES}\), 'bfloat16'\)\]$",
        ),
    ],
    ids=["subclass", "output_shape", "output_type"],
)
def test_a_model_that_breaks_the_contract_is_rejected_before_training(
    tmp_path: Path,
    little_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    build: Builder,
    message: str,
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "second", build)
    with pytest.raises(trainer.ArchitectureError, match=f"^architecture second: {message}"):
        train(little_data, tmp_path, architecture="second", precision="bfloat16")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_hyperparameter_is_rejected_before_anything_is_written(
    tmp_path: Path, little_data: Path
) -> None:
    with pytest.raises(HyperparametersError, match=r"^hyperparameter momentum: "):
        train(little_data, tmp_path, momentum=0.9)
    assert list(tmp_path.iterdir()) == []
