"""The schema and its comparison with the data, read from artifacts."""

from __future__ import annotations

from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

from components.data_gate.schema import facts_schema
from components.report.facts import CheckedFeature, ContactSheet
from models.features import IMAGE, IMAGE_BYTES, LABEL, NUM_CLASSES
from pipeline.runs import metadata
from pipeline.runs.data_checks import read_data_checks


def feature(name: str, **statistics: Any) -> statistics_pb2.FeatureNameStatistics:
    return statistics_pb2.FeatureNameStatistics(path={"step": [name]}, **statistics)


def newest_stages(runs: Any) -> Any:
    return next(metadata.read_runs(runs.store)).stages


def test_each_feature_has_its_rule_and_its_observed_values(runs: Any) -> None:
    bounded = 'feature { name: "contrast" type: FLOAT float_domain { min: 0.2 max: 0.8 } }'
    statistics = [
        feature(IMAGE, bytes_stats={"max_num_bytes_int": 1234}),
        feature(LABEL, string_stats={"unique": 3}),
        feature("contrast", num_stats={"min": 0.25, "max": 0.75}),
    ]
    runs.start("2026-11-22T10:00:00")
    runs.execution("ImportSchemaGen", {}, {"schema": runs.schema(facts_schema() + bounded)})
    runs.execution("StatisticsGen", {}, {"statistics": runs.statistics(statistics)})
    runs.execution("ExampleValidator", {}, {"anomalies": runs.anomalies()})
    checks = read_data_checks(newest_stages(runs))
    assert checks
    assert not checks.anomalies
    labels = f"0 to {NUM_CLASSES - 1}, {NUM_CLASSES} distinct values"
    assert checks.features == (
        CheckedFeature(IMAGE, "BYTES", f"at most {IMAGE_BYTES:,} bytes", "at most 1,234 bytes"),
        CheckedFeature(LABEL, "INT", labels, "3 distinct values in each split"),
        CheckedFeature("contrast", "FLOAT", "0.2 to 0.8", "0.25 to 0.75"),
    )


def test_anomalies_name_their_split_and_feature(runs: Any) -> None:
    runs.checked_data("2026-11-22T10:00:00", train="too few", test="too many")
    checks = read_data_checks(newest_stages(runs))
    assert checks
    assert checks.anomalies == ("train: label: too few", "test: label: too many")
    assert [item.observed for item in checks.features] == ["", ""]


def test_anomalies_of_images_follow_with_their_contact_sheets(runs: Any) -> None:
    runs.checked_data("2026-11-22T10:00:00", test="too many")
    anomalies = runs.anomalies("class red fox", train="3 images", test="4 images")
    sheet = runs.uri(anomalies) / "Split-test" / "class-red-fox.png"
    sheet.write_bytes(b"")
    runs.execution("ImageValidator", {}, {"anomalies": anomalies})
    checks = read_data_checks(newest_stages(runs))
    assert checks
    assert checks.anomalies == (
        "train: class red fox: 3 images",
        "test: label: too many",
        "test: class red fox: 4 images",
    )
    assert checks.sheets == (ContactSheet("test: class red fox", sheet),)


def test_missing_file_means_no_checks(runs: Any) -> None:
    runs.checked_data("2026-11-22T10:00:00")
    stages = newest_stages(runs)
    assert read_data_checks(stages)
    (runs.uri(stages["ImportSchemaGen"].outputs["schema"][0].id) / "schema.pbtxt").unlink()
    assert read_data_checks(stages) is None


def test_run_without_validation_has_no_checks(runs: Any) -> None:
    runs.whole_run("2026-11-22T10:00:00")
    assert read_data_checks(newest_stages(runs)) is None
