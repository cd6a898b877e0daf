"""Every registered architecture meets the contract, and MNIST's matches its documentation."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from support.second_architecture import build_second
from support.tfds_directory import synthetic_examples

from models.architectures import ARCHITECTURES, Builder
from models.definition import DATASET
from models.features import IMAGE_SHAPE, NUM_CLASSES
from models.hyperparameters import Hyperparameters

_BUILDERS = {**ARCHITECTURES, "second": build_second}

about_mnist = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")


def _build(builder: Builder, seed: int = 3) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return builder(Hyperparameters(recipe="notebook", seed=seed))


@pytest.mark.parametrize("name", _BUILDERS)
def test_model_meets_the_contract(name: str) -> None:
    model = _build(_BUILDERS[name])
    images, _ = synthetic_examples(2)
    probabilities = model(images / np.float32(255)).numpy()
    assert model.input_shape == (None, *IMAGE_SHAPE)
    assert probabilities.shape == (2 * NUM_CLASSES, NUM_CLASSES)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", _BUILDERS)
def test_initial_weights_depend_only_on_the_seed(name: str) -> None:
    first, repeated, other = (_build(_BUILDERS[name], seed).get_weights() for seed in (3, 3, 4))
    assert all(map(np.array_equal, first, repeated))
    assert not all(map(np.array_equal, first, other))


def test_names_are_listed_without_importing_keras() -> None:
    script = (
        "import sys; from models.architectures import ARCHITECTURES; import models.hyperparameters;"
        "sys.exit(bool({'keras', 'tensorflow', 'numpy'} & set(sys.modules)) or not ARCHITECTURES)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.fixture(scope="module")
def cnn() -> keras.Model:
    return _build(ARCHITECTURES["cnn"])


@about_mnist
def test_cnn_has_863_082_parameters(cnn: keras.Model) -> None:
    assert cnn.count_params() == 863_082


@about_mnist
def test_cnn_has_the_documented_layers(cnn: keras.Model) -> None:
    kinds = [type(layer).__name__ for layer in cnn.layers]
    block = ["Conv2D", "Conv2D", "MaxPooling2D", "Dropout"]
    head = ["Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert kinds == [*block, *block, *block[1:], *head]
    rates = [layer.rate for layer in cnn.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.25, 0.25, 0.25, 0.5, 0.5]
    convolutions = [layer for layer in cnn.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {(layer.kernel_size, layer.padding) for layer in convolutions} == {((3, 3), "same")}
    activations = [layer.activation for layer in cnn.layers if hasattr(layer, "activation")]
    assert activations == [keras.activations.relu] * 7 + [keras.activations.softmax]
