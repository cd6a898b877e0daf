"""Reading of examples in batches, for any image shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.example_batches import batch_size, read_batches

SHAPE = (3, 4, 3)


@pytest.fixture
def toy(toy: Any) -> Any:
    toy.classes, toy.image_bytes = 4, 36
    return toy


def _files(toy: Any, count: int) -> list[str]:
    directory = Path(toy.examples(toy.cases(right=count)).uri, "Split-test")
    return [str(path) for path in sorted(directory.iterdir())]


def test_color_images_keep_their_shape(toy: Any) -> None:
    (batch,) = read_batches(_files(toy, 6), SHAPE)
    assert batch.images.shape == (6, *SHAPE)
    assert batch.images[:, 0, 0].tolist() == [[i % 4, i % 4, 0] for i in range(6)]
    assert batch.labels.tolist() == [0, 1, 2, 3, 0, 1]


def test_images_of_another_size_are_an_error(toy: Any) -> None:
    with pytest.raises(ValueError, match="cannot reshape"):
        list(read_batches(_files(toy, 3), (5, 5, 1)))


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (224, 224, 3), (8192, 8192, 3)])
def test_batch_is_bounded_by_bytes_and_by_number(shape: tuple[int, int, int]) -> None:
    size = batch_size(shape)
    assert 1 <= size <= 512
    assert size == 1 or size * np.prod(shape) * 4 <= 64 << 20
