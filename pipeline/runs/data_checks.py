"""Reads the comparison of a run's data with the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.data_gate.anomalies import list_reasons
from components.example_gen.splits import SPLITS
from components.image_validator.files import sheet_name
from components.report.facts import CheckedFeature, ContactSheet, DataChecks
from pipeline.stages import EXAMPLE_VALIDATOR, IMAGE_VALIDATOR, SCHEMA_GEN, STATISTICS_GEN

if TYPE_CHECKING:
    from pipeline.runs.metadata import Stage

# TFX's file names, repeated here because importing its executors takes seconds.
_SCHEMA_FILE = "schema.pbtxt"
_STATISTICS_FILE = "FeatureStats.pb"
_ANOMALIES_FILE = "SchemaDiff.pb"


def read_data_checks(stages: Mapping[str, Stage]) -> DataChecks | None:
    """Reads schema, statistics and anomalies; None if one of them is missing or unreadable."""
    try:
        return _read(stages)
    except (OSError, DecodeError, text_format.ParseError):
        return None


def _read(stages: Mapping[str, Stage]) -> DataChecks | None:
    needed = {SCHEMA_GEN: "schema", STATISTICS_GEN: "statistics", EXAMPLE_VALIDATOR: "anomalies"}
    if any(name not in stages or not stages[name].succeeded for name in needed):
        return None
    schema_dir, statistics_dir, anomalies_dir = (
        Path(stages[name].outputs[key][0].uri) for name, key in needed.items()
    )
    # Runs of older versions have no ImageValidator.
    validator = stages.get(IMAGE_VALIDATOR)
    images_dir = (
        Path(validator.outputs["anomalies"][0].uri) if validator and validator.succeeded else None
    )
    schema = text_format.Parse(
        (schema_dir / _SCHEMA_FILE).read_text(encoding="utf-8"), schema_pb2.Schema()
    )
    statistics = [_read_statistics(statistics_dir / f"Split-{split}") for split in SPLITS]
    return DataChecks(
        features=tuple(
            CheckedFeature(
                name=feature.name,
                type=schema_pb2.FeatureType.Name(feature.type),
                rule=_rule(feature),
                observed=_observed([s[feature.name] for s in statistics if feature.name in s]),
            )
            for feature in schema.feature
        ),
        anomalies=tuple(
            f"{split}: {reason}"
            for split in SPLITS
            for directory in (anomalies_dir, images_dir)
            if directory
            for reason in list_reasons(_read_anomalies(directory / f"Split-{split}"))
        ),
        sheets=tuple(_find_sheets(images_dir)) if images_dir else (),
    )


def _read_statistics(directory: Path) -> dict[str, Any]:
    content = (directory / _STATISTICS_FILE).read_bytes()
    (of_split,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    return {".".join(feature.path.step): feature for feature in of_split.features}


def _read_anomalies(directory: Path) -> anomalies_pb2.Anomalies:
    return anomalies_pb2.Anomalies.FromString((directory / _ANOMALIES_FILE).read_bytes())


def _find_sheets(images_dir: Path) -> Iterator[ContactSheet]:
    for split in SPLITS:
        directory = images_dir / f"Split-{split}"
        for subject in sorted(_read_anomalies(directory).anomaly_info):
            file = directory / sheet_name(subject)
            if file.is_file():
                yield ContactSheet(f"{split}: {subject}", file)


def _rule(feature: schema_pb2.Feature) -> str:
    if feature.HasField("float_domain"):
        return f"{feature.float_domain.min:g} to {feature.float_domain.max:g}"
    if feature.HasField("int_domain"):
        domain, unique = feature.int_domain, feature.unique_constraints
        return f"{domain.min} to {domain.max}, {unique.min:,} distinct values"
    return f"at most {feature.image_domain.max_image_byte_size:,} bytes"


def _observed(splits: Sequence[Any]) -> str:
    """Describes a feature's values in all splits; empty without statistics of a single type."""
    kinds = {split.WhichOneof("stats") for split in splits}
    if len(kinds) != 1 or None in kinds:
        return ""
    (kind,) = kinds
    return _OBSERVED[kind]([getattr(split, kind) for split in splits])


def _numbers(splits: Sequence[Any]) -> str:
    return f"{min(s.min for s in splits):.4g} to {max(s.max for s in splits):.4g}"


def _categories(splits: Sequence[Any]) -> str:
    return f"{min(split.unique for split in splits):,} distinct values in each split"


def _sizes(splits: Sequence[Any]) -> str:
    return f"at most {max(split.max_num_bytes_int for split in splits):,} bytes"


_OBSERVED: dict[str, Callable[[Sequence[Any]], str]] = {
    "num_stats": _numbers,
    "string_stats": _categories,
    "bytes_stats": _sizes,
}
"""Keyed by the type of TFDV's statistics."""
