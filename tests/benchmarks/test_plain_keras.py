"""The yardstick has the pipeline's network and the notebook's settings, although it copies both."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from benchmarks import plain_keras

from models.architectures import ARCHITECTURES
from models.definition import DATASET
from models.hyperparameters import Hyperparameters

pytestmark = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")


def test_network_computes_the_same_as_the_pipelines() -> None:
    parameters = Hyperparameters(recipe="notebook")
    own = ARCHITECTURES[parameters.architecture](parameters)
    plain = plain_keras.build_network()
    assert plain.count_params() == own.count_params() == 863_082
    plain.set_weights(own.get_weights())
    images = np.random.default_rng(0).random((8, 28, 28, 1), np.float32)
    np.testing.assert_allclose(plain(images), own(images), rtol=1e-4, atol=1e-6)


def test_settings_are_those_of_the_recipe_notebook() -> None:
    parameters = Hyperparameters(recipe="notebook")
    stop, reduce_rate, _ = plain_keras.make_callbacks()
    assert isinstance(stop, keras.callbacks.EarlyStopping)
    assert isinstance(reduce_rate, keras.callbacks.ReduceLROnPlateau)
    assert float(plain_keras.build_network().optimizer.learning_rate) == pytest.approx(
        parameters.learning_rate
    )
    assert {
        "epochs": plain_keras.EPOCHS,
        "batch_size": plain_keras.BATCH_SIZE,
        "early_stopping_patience": stop.patience,
        "reduce_lr_patience": reduce_rate.patience,
        "reduce_lr_factor": reduce_rate.factor,
    }.items() <= parameters.model_dump().items()


def test_bundled_digits_have_the_splits_of_the_pipeline() -> None:
    (_, labels), (images, test_labels), share = plain_keras.load("bundled", 0)
    assert images.shape == (1000, 28, 28, 1)
    assert np.bincount(test_labels).tolist() == [100] * 10
    assert len(labels) * share == 500
