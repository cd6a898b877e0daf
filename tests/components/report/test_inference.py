"""Reading of examples in batches, for any image shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.report.inference import batch_size, first_of_each_class, read_batches

SHAPE = (3, 4, 3)


@pytest.fixture
def toy(toy: Any) -> Any:
    toy.classes, toy.image_bytes = 4, 36
    return toy


def test_color_images_keep_their_shape(toy: Any) -> None:
    uri = f"{toy.examples(toy.cases(right=6)).uri}/Split-test"
    (batch,) = read_batches(uri, SHAPE)
    assert batch.images.shape == (6, *SHAPE)
    assert batch.images[:, 0, 0].tolist() == [[i % 4, i % 4, 0] for i in range(6)]
    assert batch.labels.tolist() == [0, 1, 2, 3, 0, 1]


def test_images_of_another_size_are_an_error(toy: Any) -> None:
    uri = f"{toy.examples(toy.cases(right=3)).uri}/Split-test"
    with pytest.raises(ValueError, match="cannot reshape"):
        list(read_batches(uri, (5, 5, 1)))


def test_first_images_of_each_class_are_read_and_absent_classes_omitted(toy: Any) -> None:
    uri = f"{toy.examples(toy.cases(right=7)).uri}/Split-test"
    found = first_of_each_class(uri, SHAPE, classes=5, count=1)
    assert {label: len(images) for label, images in found.items()} == {0: 1, 1: 1, 2: 1, 3: 1}
    assert np.array([images[0][0, 0, 0] for images in found.values()]).tolist() == [0, 1, 2, 3]
    assert all(images[0].base is None for images in found.values())


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (224, 224, 3), (8192, 8192, 3)])
def test_batch_is_bounded_by_bytes_and_by_number(shape: tuple[int, int, int]) -> None:
    size = batch_size(shape)
    assert 1 <= size <= 512
    assert size == 1 or size * np.prod(shape) * 4 <= 64 << 20
