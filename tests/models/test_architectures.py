"""The network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.small_trainings import real_digits

from models.architectures import build_model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_model(seed=3, learning_rate=0.25)


def test_has_the_parameters_that_the_layers_add_up_to(model: keras.Model) -> None:
    assert model.count_params() == 863_082


def test_rows_of_probabilities_sum_to_1(model: keras.Model) -> None:
    probabilities = model(real_digits()[0][:20] / np.float32(255)).numpy()
    assert probabilities.shape == (20, 10)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_layers_are_those_of_the_design(model: keras.Model) -> None:
    kinds = [type(layer).__name__ for layer in model.layers]
    block = ["Conv2D", "Conv2D", "MaxPooling2D", "Dropout"]
    head = ["Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert kinds == [*block, *block, *block[1:], *head]
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.25, 0.25, 0.25, 0.5, 0.5]
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {(layer.kernel_size, layer.padding) for layer in convolutions} == {((3, 3), "same")}
    activations = [layer.activation for layer in model.layers if hasattr(layer, "activation")]
    assert activations == [keras.activations.relu] * 7 + [keras.activations.softmax]


def test_is_compiled_with_adam_at_the_learning_rate(model: keras.Model) -> None:
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == 0.25


def _first_weights(seed: int) -> np.ndarray:
    return build_model(seed).layers[0].get_weights()[0]


def test_initial_weights_depend_on_the_seed_alone() -> None:
    np.testing.assert_array_equal(_first_weights(3), _first_weights(3))
    assert not np.array_equal(_first_weights(3), _first_weights(4))
