"""The reference as text. tests/components/data_gate/test_schema_rules.py has the invalid ones."""

import numpy as np
import pytest
from google.protobuf import text_format
from support.tfds_directory import measure_in_memory, synthetic_examples
from tensorflow_metadata.proto.v0 import schema_pb2

from components.common.errors import DataRejectedError
from components.image_validator.reference import Reference, format_reference, read_reference
from models.features import NUM_CLASSES


@pytest.fixture(scope="module")
def reference() -> Reference:
    return measure_in_memory(
        {
            "train": synthetic_examples(12),
            "validation": synthetic_examples(3, seed=1),
            "test": synthetic_examples(5, seed=2),
        }
    )


def parse(text: str) -> Reference:
    return read_reference(text_format.Parse(text, schema_pb2.Schema()))


def test_the_text_contains_the_reference_to_three_digits(reference: Reference) -> None:
    read = parse(format_reference(reference))
    assert read.limits == reference.limits
    for received, expected in zip(read.classes, reference.classes, strict=True):
        assert (received.label, received.images) == (expected.label, 20)
        np.testing.assert_allclose(received.means(), expected.means(), rtol=1e-3, atol=5.1e-4)
        np.testing.assert_allclose(received.deviations(), expected.deviations(), rtol=5e-3)
        assert received.largest_distance == pytest.approx(expected.largest_distance, rel=1e-3)


def test_text_that_was_read_is_written_unchanged(reference: Reference) -> None:
    text = format_reference(reference)
    assert format_reference(parse(text)) == text


def test_all_splits_are_measured_together(reference: Reference) -> None:
    assert reference.limits.shares == {"train": 0.6, "validation": 0.15, "test": 0.25}
    assert [of_class.images for of_class in reference.classes] == [20] * NUM_CLASSES
    for of_class in reference.classes:
        assert of_class.farthest() == 1.5 * of_class.largest_distance
        assert of_class.largest_distance > of_class.distance.mean > 0


def test_a_class_without_images_cannot_be_measured() -> None:
    images, labels = synthetic_examples(3)
    with pytest.raises(DataRejectedError, match=f"labels must be 0 to {NUM_CLASSES - 1}, "):
        measure_in_memory({"train": (images[labels > 0], labels[labels > 0])})
