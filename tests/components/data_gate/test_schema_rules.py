"""Schemas are checked against the data definition, and proposed from it."""

import functools
import re

import pytest
from google.protobuf import text_format
from support.tfds_directory import measure_in_memory, synthetic_examples
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate.schema import Measured, propose_schema, schema_problems
from components.example_gen.splits import SPLITS
from components.image_validator.reference import Reference
from models.definition import DATASET
from models.features import IMAGE_BYTES, NUM_CLASSES

STATISTIC = DATASET.image_statistics[0]
LAST = NUM_CLASSES - 1


def proposed(**measured: Measured) -> str:
    default = Measured(0.2, 0.6, 0.4)
    names: tuple[str, ...] = DATASET.image_statistics
    return propose_schema({name: measured.get(name, default) for name in names}, reference())


@functools.cache
def reference() -> Reference:
    return measure_in_memory(dict.fromkeys(SPLITS, synthetic_examples(2)))


def reviewed() -> str:
    return proposed().split("\n", 1)[1]


def bounds(minimum: float, maximum: float) -> tuple[float, float]:
    text = proposed(**{STATISTIC: Measured(minimum, maximum, minimum)})
    schema = text_format.Parse(text, schema_pb2.Schema())
    (domain,) = (f.float_domain for f in schema.feature if f.name == STATISTIC)
    return domain.min, domain.max


def test_a_proposal_is_rejected_until_its_first_line_is_deleted() -> None:
    assert proposed().startswith("# UNREVIEWED\n")
    (problem,) = schema_problems(proposed())
    assert problem.startswith("is not reviewed: ")
    assert schema_problems("# Copyright\n" + proposed())
    assert schema_problems(reviewed()) == []


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ((0.2, 0.6), (0.16, 0.64)),
        ((0.0, 0.5), (0.0, 0.55)),
        ((0.02, 0.4), (0.01, 0.438)),  # A tenth of the range would admit blank images.
        ((0.5, 0.98), (0.452, 0.99)),
        ((0.3, 0.3), (0.3, 0.3)),
        ((0.0004, 0.5), (0.0002, 0.55)),
    ],
)
def test_bounds_extend_the_measured_range_by_a_tenth_or_halfway_to_0_and_1(
    measured: tuple[float, float], expected: tuple[float, float]
) -> None:
    least, most = bounds(*measured)
    assert (least, most) == pytest.approx(expected, abs=0.0011)
    assert least <= measured[0]
    assert most >= measured[1]
    assert (least > 0) == (measured[0] > 0)


def test_a_proposal_shows_the_measured_values() -> None:
    text = proposed(**{STATISTIC: Measured(0.0254, 0.3976, 0.131)})
    assert "# Measured: 0.0254 to 0.3976, mean 0.131." in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("feature {", "feature ["), "is not a schema in text format: "),
        ((f'name: "{STATISTIC}"', 'name: "sharpness"'), "must have the features .*sharpness"),
        ((f"size: {IMAGE_BYTES}", "size: 7"), f"image: .* must be {IMAGE_BYTES}, received 7"),
        ((f"max: {LAST} is", f"max: {LAST + 1} is"), f"label: .* categorical, 0 to {LAST}"),
        (("is_categorical: true", ""), "label: int_domain must be categorical"),
        ((f"min: {NUM_CLASSES} max", "min: 1 max"), "label: unique_constraints must be"),
        (("type: BYTES", "type: INT"), "image: type must be BYTES, received INT"),
        (("type: INT", "type: FLOAT"), "label: type must be INT, received FLOAT"),
        (("type: FLOAT", "type: INT"), f"{STATISTIC}: type must be FLOAT, received INT"),
        (("presence { min_fraction: 1 }", ""), "image: must have `presence .* and `shape {}`"),
        (("shape {}", ""), "image: must have `presence .* and `shape {}`"),
        (('tag: "reference"', ""), "annotation: must have the tag 'reference' and its statistics"),
        (('{"label": 0', '{"label": 1'), f"annotation: labels must be 0 to {LAST}, received "),
        (('"images": ', '"images": -'), "annotation: images: Input should be greater than 0"),
        (('"train": ', '"training": '), "annotation: shares must be of train, validation, test"),
        (('"mean": [', '"mean": [0.5, '), "annotation: class 0: mean and deviation must have"),
        (("disallow_nan: true", ""), "float_domain must have min, max and disallow_nan"),
    ],
)
def test_a_schema_that_contradicts_the_definition_is_rejected(
    change: tuple[str, str], problem: str
) -> None:
    assert change[0] in reviewed()
    problems = schema_problems(reviewed().replace(*change))
    assert problems
    assert re.search(problem, problems[0]), problems


def test_the_reviewed_schema_matches_the_definition() -> None:
    from pipeline.settings import SCHEMA_FILE, check_schema

    check_schema(SCHEMA_FILE)
