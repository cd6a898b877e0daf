"""Reading of the first images of each class, for any image shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.report.inference import first_of_each_class

SHAPE = (3, 4, 3)


@pytest.fixture
def toy(toy: Any) -> Any:
    toy.classes, toy.image_bytes = 4, 36
    return toy


def test_first_images_of_each_class_are_read_and_absent_classes_omitted(toy: Any) -> None:
    uri = f"{toy.examples(toy.cases(right=7)).uri}/Split-test"
    found = first_of_each_class(uri, SHAPE, classes=5, count=1)
    assert {label: len(images) for label, images in found.items()} == {0: 1, 1: 1, 2: 1, 3: 1}
    assert np.array([images[0][0, 0, 0] for images in found.values()]).tolist() == [0, 1, 2, 3]
    assert all(images[0].base is None for images in found.values())
