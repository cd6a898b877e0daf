"""ImageValidator on files of examples."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.tfds_directory import Examples, measure_in_memory, synthetic_examples, synthetic_schema
from support.tfx_executors import BEAM_ARGS, run_executor
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import Artifact, standard_artifacts

from components.common.errors import DataRejectedError
from components.example_gen.splits import SPLITS
from components.image_validator.executor import Executor
from components.image_validator.measure import measure_reference
from components.image_validator.reference import format_reference
from models.features import CLASS_NAMES, IMAGE, IMAGE_BYTES, IMAGE_SHAPE, LABEL

CLEAN = {
    "train": synthetic_examples(54),
    "validation": synthetic_examples(6, seed=2),
    "test": synthetic_examples(20, seed=1),
}


def write_examples(
    directory: Path, splits: Mapping[str, Examples], per_file: int = 400
) -> Artifact:
    """Writes examples like ExampleGen, without the statistics."""
    artifact = standard_artifacts.Examples()
    artifact.uri = str(directory)
    artifact.split_names = json.dumps(list(splits))
    for split, (images, labels) in splits.items():
        target = directory / f"Split-{split}"
        target.mkdir(parents=True)
        for start in range(0, len(labels), per_file):
            rows = slice(start, start + per_file)
            write_records(target / f"data-{start:05}.gz", images[rows], labels[rows])
    return artifact


def write_records(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for image, label in zip(images, labels, strict=True):
            example = tf.train.Example()
            example.features.feature[IMAGE].bytes_list.value.append(image.tobytes())
            example.features.feature[LABEL].int64_list.value.append(int(label))
            writer.write(example.SerializeToString())


def validate(directory: Path, splits: Mapping[str, Examples], per_file: int = 400) -> Artifact:
    examples = write_examples(directory / "examples", splits, per_file)
    return run(directory, examples)


def run(directory: Path, examples: Artifact) -> Artifact:
    schema = standard_artifacts.Schema()
    schema.uri = str(directory / "schema")
    Path(schema.uri).mkdir()
    Path(schema.uri, "schema.pbtxt").write_text(synthetic_schema())
    anomalies = standard_artifacts.ExampleAnomalies()
    inputs = {"examples": examples, "schema": schema}
    run_executor(Executor, directory, inputs, {"anomalies": anomalies}, {})
    return anomalies


def found(anomalies: Artifact) -> dict[str, dict[str, str]]:
    """Reasons by split and subject."""
    messages = {}
    for split in json.loads(anomalies.split_names):
        content = Path(anomalies.uri, f"Split-{split}", "SchemaDiff.pb").read_bytes()
        messages[split] = anomalies_pb2.Anomalies.FromString(content)
    return {
        split: {subject: info.description for subject, info in message.anomaly_info.items()}
        for split, message in messages.items()
    }


def with_images(examples: Examples, *extra: Examples) -> Examples:
    images, labels = zip(examples, *extra, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def some(examples: Examples, rows: slice) -> Examples:
    return examples[0][rows], examples[1][rows]


def test_clean_splits_have_no_anomalies(tmp_path: Path) -> None:
    anomalies = validate(tmp_path, CLEAN)
    assert found(anomalies) == {split: {} for split in SPLITS}
    assert not list(Path(anomalies.uri).glob("*/*.png"))


@pytest.mark.parametrize("per_file", [7, 1000])
def test_identical_images_are_found_in_any_files_and_drawn(tmp_path: Path, per_file: int) -> None:
    train, test = CLEAN["train"], CLEAN["test"]
    leaked = some(test, slice(3, 5))
    splits = {
        **CLEAN,
        "train": with_images(train, leaked),
        "test": with_images(test, some(test, slice(0, 1)), some(test, slice(0, 1))),
    }
    anomalies = validate(tmp_path, splits, per_file)
    total = len(splits["test"][1])
    names = [CLASS_NAMES[label] for label in (0, *sorted(leaked[1]))]
    assert found(anomalies) == {
        "train": {},
        "validation": {},
        "test": {
            "duplicates": f"2 of {total} images repeat an earlier one (2 of class {names[0]}); "
            "at most 0 may",
            "overlap with train": f"2 of {total} images are also in train "
            f"(1 of class {names[1]}, 1 of class {names[2]}); at most 0 may",
        },
    }
    sheets = {path.name: path for path in Path(anomalies.uri, "Split-test").glob("*.png")}
    assert sheets.keys() == {"duplicates.png", "overlap-with-train.png"}
    with Image.open(sheets["overlap-with-train.png"]) as sheet:
        drawn = np.asarray(sheet.convert("RGB"))
    expected = np.concatenate(list(leaked[0]), axis=1)
    np.testing.assert_array_equal(drawn, np.broadcast_to(expected, drawn.shape))


def test_foreign_images_are_found_in_their_class_and_drawn_first(tmp_path: Path) -> None:
    images, labels = CLEAN["test"]
    images = images.copy()
    images[1] = 255 - images[1]
    anomalies = validate(tmp_path, {**CLEAN, "test": (images, labels)})
    reasons = found(anomalies)
    subject = f"class {CLASS_NAMES[labels[1]]}"
    assert "1 of 20 images are too far from the mean image" in reasons["test"][subject]
    assert not reasons["train"]
    (sheet,) = Path(anomalies.uri, "Split-test").glob("*.png")
    with Image.open(sheet) as picture:
        drawn = np.asarray(picture.convert("RGB"))[:, : IMAGE_SHAPE[1]]
    np.testing.assert_array_equal(drawn, np.broadcast_to(images[1], drawn.shape))


def test_an_empty_split_is_an_anomaly(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", CLEAN)
    for file in Path(examples.uri, "Split-test").iterdir():
        write_records(file, np.zeros((0, *IMAGE_SHAPE), np.uint8), np.zeros(0, np.int64))
    anomalies = run(tmp_path, examples)
    content = Path(anomalies.uri, "Split-test", "SchemaDiff.pb").read_bytes()
    assert anomalies_pb2.Anomalies.FromString(content).data_missing


def test_images_of_another_size_are_rejected(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", CLEAN)
    write_records(Path(examples.uri, "Split-test", "x.gz"), np.zeros((1, 5), np.uint8), np.zeros(1))
    expected = f"x.gz: images must have {IMAGE_BYTES} bytes, received 5"
    with pytest.raises(DataRejectedError, match=expected):
        run(tmp_path, examples)


def test_a_damaged_file_is_rejected(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", CLEAN)
    (path,) = Path(examples.uri, "Split-validation").iterdir()
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-10]))
    with pytest.raises(DataRejectedError, match=f"{path} can't be read: .*; run the pipeline"):
        run(tmp_path, examples)


def test_the_reference_measured_by_beam_is_that_of_the_images(tmp_path: Path) -> None:
    import apache_beam as beam

    examples = write_examples(tmp_path / "examples", CLEAN, per_file=7)
    measured = measure_reference(
        lambda: beam.Pipeline(argv=list(BEAM_ARGS)),
        {split: f"{examples.uri}/Split-{split}" for split in SPLITS},
        tmp_path,
    )
    assert format_reference(measured) == format_reference(measure_in_memory(CLEAN))
