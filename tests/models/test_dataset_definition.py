"""Validation of a data definition."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from models.dataset_definition import BundledSample, DatasetDefinition

SAMPLE = BundledSample(dataset="shapes/1.0.0", package="shapes", load="models.shapes.load")
FIELDS: dict[str, Any] = {
    "name": "shapes",
    "title": "Shapes",
    "tfds_name": "shapes",
    "tfds_version": "1.0.0",
    "image_shape": (32, 24, 3),
    "class_names": ("circle", "square"),
    "image_statistics": ("contrast",),
}


def test_optional_fields_have_defaults() -> None:
    definition = DatasetDefinition(**FIELDS)
    assert definition.tfds_id == "shapes/1.0.0"
    assert definition.noun == "class"
    assert definition.validation_share == Fraction(1, 10)


def test_a_share_is_converted_to_an_exact_decimal_fraction() -> None:
    assert DatasetDefinition(**FIELDS, validation_share=0.15).validation_share == Fraction(3, 20)


def test_a_sample_of_the_same_data_set_is_accepted() -> None:
    assert DatasetDefinition(**FIELDS, bundled_sample=SAMPLE).bundled_sample == SAMPLE


@pytest.mark.parametrize("changed", [{"tfds_name": "other"}, {"tfds_version": "1.0.1"}])
def test_a_sample_of_another_data_set_is_rejected(changed: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"expected a bundled_sample of .* received one of"):
        DatasetDefinition(**{**FIELDS, **changed, "bundled_sample": SAMPLE})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Shapes"),
        ("name", "my/shapes"),
        ("title", " "),
        ("tfds_name", "Shapes!"),
        ("tfds_version", "1.0"),
        ("tfds_version", "1.*.*"),
        ("image_shape", (32, 24)),
        ("image_shape", (32, 24, 4)),
        ("image_shape", (0, 24, 1)),
        ("class_names", ("only one",)),
        ("class_names", ("circle", "circle")),
        ("class_names", ("circle", "")),
        ("image_statistics", ()),
        ("image_statistics", ("sharpness",)),
        ("image_statistics", ("contrast", "contrast")),
        ("validation_share", 0),
        ("validation_share", 1),
        ("picture_preprocessing", "os.remove"),
        ("least_confidence", -0.1),
        ("least_confidence", 1),
        ("download_url", "shapes.example"),
        ("classes", 2),
    ],
)
def test_invalid_fields_are_rejected(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        DatasetDefinition(**{**FIELDS, field: value})
