"""The optimizer's schedule and weight averaging at their limits."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from models.hyperparameters import Hyperparameters
from models.optimization import compile_model


def _optimizer(steps: int, **parameters: Any) -> keras.optimizers.Optimizer:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    compile_model(model, Hyperparameters(**parameters), steps)
    return model.optimizer


@pytest.mark.parametrize(
    ("warmup", "steps", "rates"),
    [(0, 2, [0.5, 0.25]), (0.5, 4, [0, 0.25, 0.5, 0.25]), (0.9, 2, [0, 0.5]), (0.9, 1, [0.5])],
)
def test_the_learning_rate_falls_after_any_warm_up(
    warmup: float, steps: int, rates: list[float]
) -> None:
    optimizer = _optimizer(steps, schedule="cosine", warmup=warmup, learning_rate=0.5)
    found = []
    for step in range(steps):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    assert found == pytest.approx(rates)


@pytest.mark.parametrize(("averaging", "momentum"), [(0.2, 0.99), (0.002, 0), (0.001, 0)], ids=str)
def test_averaging_is_a_share_of_the_steps(averaging: float, momentum: float) -> None:
    optimizer = _optimizer(500, averaging=averaging)
    assert optimizer.use_ema
    assert optimizer.ema_momentum == pytest.approx(momentum)


def test_no_averaging_by_a_share_of_0() -> None:
    assert not _optimizer(500, averaging=0).use_ema
