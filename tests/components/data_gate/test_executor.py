from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tensorflow as tf
from support.tfds_directory import Examples, real_digits
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import Channel, standard_artifacts

from components.common.errors import DataRejectedError
from components.data_gate.component import DataGate

if TYPE_CHECKING:
    from tfx.types import Artifact

Ingest = Callable[[Examples, Examples], "Artifact"]
Step = Callable[["Artifact"], "Artifact"]

SPLITS = '["train", "validation", "test"]'


@pytest.fixture
def clean(tmp_path: Path) -> "Artifact":
    """What ExampleValidator writes when it finds nothing."""
    artifact = standard_artifacts.ExampleAnomalies()
    artifact.uri = str(tmp_path / "anomalies")
    artifact.split_names = SPLITS
    for split in ("train", "validation", "test"):
        write(artifact, split, anomalies_pb2.Anomalies().SerializeToString())
    return artifact


def write(artifact: "Artifact", split: str, content: bytes) -> Path:
    path = Path(artifact.uri, f"Split-{split}", "SchemaDiff.pb")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def anomaly(feature: str, reason: str) -> bytes:
    anomalies = anomalies_pb2.Anomalies()
    anomalies.anomaly_info[feature].description = reason
    return anomalies.SerializeToString()


def test_clean_splits_pass(clean: "Artifact", judge: Step) -> None:
    verdict = judge(clean)
    assert verdict.read() == {"blessed": True, "splits": ["train", "validation", "test"]}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_anomaly_in_any_split_rejects(split: str, clean: "Artifact", judge: Step) -> None:
    write(clean, split, anomaly("label", "Unexpectedly large value: 11."))
    with pytest.raises(
        DataRejectedError,
        match=f"does not satisfy the reviewed schema: {split}: label: Unexpectedly large value: 11",
    ) as caught:
        judge(clean)
    assert "correct the data, or review the schema" in str(caught.value)


def test_all_findings_are_listed(clean: "Artifact", judge: Step) -> None:
    write(clean, "train", anomaly("bright_fraction", "too low"))
    write(clean, "test", anomaly("label", "too large"))
    with pytest.raises(
        DataRejectedError, match="train: bright_fraction: too low; test: label: too large; "
    ):
        judge(clean)


def test_a_split_without_a_verdict_rejects(clean: "Artifact", judge: Step) -> None:
    write(clean, "validation", b"").unlink()
    with pytest.raises(
        DataRejectedError,
        match=r"validation: what ExampleValidator found is missing \(.*, run it again",
    ):
        judge(clean)


def test_an_unreadable_verdict_rejects(clean: "Artifact", judge: Step) -> None:
    write(clean, "test", b"\xff not a proto")
    with pytest.raises(DataRejectedError, match="test: what ExampleValidator found can't be read"):
        judge(clean)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("", "train, validation, test"),
        ("[]", "train, validation, test"),
        ('["train", "test"]', "validation"),
    ],
)
def test_a_split_that_was_not_validated_rejects(
    names: str, missing: str, clean: "Artifact", judge: Step
) -> None:
    clean.split_names = names
    with pytest.raises(
        DataRejectedError, match=f"must all be validated, received none of {missing}; clear"
    ):
        judge(clean)


def test_the_component_takes_anomalies_and_gives_a_verdict() -> None:
    component = DataGate(anomalies=Channel(type=standard_artifacts.ExampleAnomalies))
    assert {name: output.type for name, output in component.outputs.items()} == {
        "verdict": standard_artifacts.JsonValue
    }


# From here on with what StatisticsGen and ExampleValidator really say.


def test_real_digits_pass(ingest: Ingest, validate: Step, judge: Step) -> None:
    examples = ingest(real_digits(60), real_digits(20, first=400))
    assert judge(validate(examples)).read()["blessed"] is True


def test_one_blank_test_image_and_one_label_of_11_reject(
    ingest: Ingest, validate: Step, judge: Step
) -> None:
    images, labels = real_digits(60)
    labels[5] = 11
    test_images, test_labels = real_digits(20, first=400)
    test_images[0] = 0
    with pytest.raises(DataRejectedError) as caught:
        judge(validate(ingest((images, labels), (test_images, test_labels))))
    message = str(caught.value)
    assert "train: label: Unexpectedly large value: 11." in message
    assert "test: bright_fraction: Unexpectedly low values: 0<0.015" in message
    assert "test: mean_intensity: Unexpectedly low values: 0<0.02" in message
    assert "validation" not in message


def test_a_digit_that_is_missing_in_training_rejects(
    ingest: Ingest, validate: Step, judge: Step
) -> None:
    images, labels = real_digits(60)
    others = labels != 7
    examples = ingest((images[others], labels[others]), real_digits(20, first=400))
    with pytest.raises(DataRejectedError) as caught:
        judge(validate(examples))
    message = str(caught.value)
    for split in ("train", "validation"):
        assert f"{split}: label: Expected at least 10 unique values but found only 9." in message
    assert "test:" not in message


def test_a_scalar_that_is_nan_rejects(ingest: Ingest, validate: Step, judge: Step) -> None:
    examples = ingest(real_digits(60), real_digits(20, first=400))
    (path,) = Path(examples.uri, "Split-validation").iterdir()
    records = list(tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator())
    example = tf.train.Example.FromString(records[0])
    example.features.feature["mean_intensity"].float_list.value[0] = float("nan")
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in (example.SerializeToString(), *records[1:]):
            writer.write(record)
    with pytest.raises(DataRejectedError, match=r"validation: mean_intensity: .* NaN values"):
        judge(validate(examples))
