from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tensorflow as tf
from support.tfds_directory import Examples, synthetic_examples
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import Channel, standard_artifacts

from components.common.errors import DataRejectedError
from components.data_gate.component import DataGate
from models.definition import DATASET
from models.features import NUM_CLASSES

if TYPE_CHECKING:
    from tfx.types import Artifact

STATISTIC = DATASET.image_statistics[0]

Ingest = Callable[[Examples, Examples], "Artifact"]
Validate = Callable[["Artifact"], tuple["Artifact", "Artifact"]]
Clean = tuple["Artifact", "Artifact"]
Gate = Callable[["Artifact", "Artifact"], "Artifact"]

VALIDATORS = ["ExampleValidator", "ImageValidator"]
SPLITS = '["train", "validation", "test"]'


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    """Outputs of ExampleValidator and ImageValidator for splits without anomalies."""
    return make_clean(tmp_path / "anomalies"), make_clean(tmp_path / "image_anomalies")


def make_clean(directory: Path) -> "Artifact":
    artifact = standard_artifacts.ExampleAnomalies()
    artifact.uri = str(directory)
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


def test_clean_splits_pass(clean: Clean, gate: Gate) -> None:
    verdict = gate(*clean)
    assert verdict.read() == {"blessed": True, "splits": ["train", "validation", "test"]}


@pytest.mark.parametrize("validator", [0, 1])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_anomaly_in_any_split_rejects_the_data(
    split: str, validator: int, clean: Clean, gate: Gate
) -> None:
    write(
        clean[validator], split, anomaly("label", f"Unexpectedly large value: {NUM_CLASSES + 1}.")
    )
    with pytest.raises(
        DataRejectedError,
        match=f"does not satisfy the reviewed schema: {split}: label: Unexpectedly large value",
    ) as caught:
        gate(*clean)
    assert "correct the data, or update the schema" in str(caught.value)


def test_all_anomalies_are_listed(clean: Clean, gate: Gate) -> None:
    schema, images = clean
    write(schema, "train", anomaly("bright_fraction", "too low"))
    write(images, "train", anomaly("duplicates", "7 images"))
    write(schema, "test", anomaly("label", "too large"))
    with pytest.raises(
        DataRejectedError,
        match="train: bright_fraction: too low; train: duplicates: 7 images; test: label: too",
    ):
        gate(*clean)


@pytest.mark.parametrize("validator", VALIDATORS)
def test_a_missing_anomalies_file_rejects_the_data(
    validator: str, clean: Clean, gate: Gate
) -> None:
    write(clean[VALIDATORS.index(validator)], "validation", b"").unlink()
    with pytest.raises(
        DataRejectedError,
        match=validator + r"'s output .*Split-validation.* is missing; run the pipeline again",
    ):
        gate(*clean)


def test_a_corrupt_anomalies_file_rejects_the_data(clean: Clean, gate: Gate) -> None:
    write(clean[1], "test", b"\xff not a proto")
    with pytest.raises(
        DataRejectedError, match=r"ImageValidator's output .*Split-test.* is corrupt"
    ):
        gate(*clean)


@pytest.mark.parametrize("validator", VALIDATORS)
@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("", "train, validation, test"),
        ("[]", "train, validation, test"),
        ('["train", "test"]', "validation"),
    ],
)
def test_a_split_that_was_not_validated_rejects_the_data(
    names: str, missing: str, validator: str, clean: Clean, gate: Gate
) -> None:
    clean[VALIDATORS.index(validator)].split_names = names
    with pytest.raises(
        DataRejectedError,
        match=f"must all be validated, but {validator} skipped {missing}; clear",
    ):
        gate(*clean)


def test_the_component_outputs_a_verdict() -> None:
    anomalies = Channel(type=standard_artifacts.ExampleAnomalies)
    component = DataGate(anomalies=anomalies, image_anomalies=anomalies)
    assert {name: output.type for name, output in component.outputs.items()} == {
        "verdict": standard_artifacts.JsonValue
    }


# The remaining tests run the real StatisticsGen and ExampleValidator.


def test_valid_data_passes(ingest: Ingest, validate: Validate, gate: Gate) -> None:
    examples = ingest(synthetic_examples(60), synthetic_examples(20, seed=1))
    assert gate(*validate(examples)).read()["blessed"] is True


def test_one_blank_image_or_one_label_out_of_range_rejects_the_data(
    ingest: Ingest, validate: Validate, gate: Gate
) -> None:
    images, labels = synthetic_examples(60)
    labels[2] = NUM_CLASSES + 1
    test_images, test_labels = synthetic_examples(20, seed=1)
    test_images[0] = 0
    with pytest.raises(DataRejectedError) as caught:
        gate(*validate(ingest((images, labels), (test_images, test_labels))))
    message = str(caught.value)
    assert f"train: label: Unexpectedly large value: {NUM_CLASSES + 1}." in message
    assert f"test: {STATISTIC}: Unexpectedly low values: 0<" in message
    assert "validation" not in message


def test_a_class_missing_from_training_rejects_the_data(
    ingest: Ingest, validate: Validate, gate: Gate
) -> None:
    images, labels = synthetic_examples(60)
    others = labels != 1
    examples = ingest((images[others], labels[others]), synthetic_examples(20, seed=1))
    with pytest.raises(DataRejectedError) as caught:
        gate(*validate(examples))
    message = str(caught.value)
    for split in ("train", "validation"):
        expected = f"at least {NUM_CLASSES} unique values but found only {NUM_CLASSES - 1}."
        assert f"{split}: label: Expected {expected}" in message
    assert "test:" not in message


def test_a_nan_statistic_rejects_the_data(ingest: Ingest, validate: Validate, gate: Gate) -> None:
    examples = ingest(synthetic_examples(60), synthetic_examples(20, seed=1))
    (path,) = Path(examples.uri, "Split-validation").iterdir()
    records = list(tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator())
    example = tf.train.Example.FromString(records[0])
    example.features.feature[STATISTIC].float_list.value[0] = float("nan")
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in (example.SerializeToString(), *records[1:]):
            writer.write(record)
    with pytest.raises(DataRejectedError, match=rf"validation: {STATISTIC}: .* NaN values"):
        gate(*validate(examples))
