"""TFDV accepts MNIST and rejects other images, with the reviewed and with the proposed schema."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from support.tfds_directory import measure_in_memory, real_digits
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils

from components.data_gate.anomalies import list_reasons
from components.data_gate.schema import Measured, propose_schema
from components.example_gen.splits import SPLITS
from models import features
from models.definition import DATASET
from models.image_statistics import describe_images
from pipeline.settings import SCHEMA_FILE

Reasons = Callable[[np.ndarray, np.ndarray], list[str]]


pytestmark = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")


@pytest.fixture(scope="module", params=["reviewed", "proposed"])
def schema(request: pytest.FixtureRequest) -> schema_pb2.Schema:
    if request.param == "reviewed":
        return tfdv.load_schema_text(str(SCHEMA_FILE))
    digits = real_digits(500)
    statistics = describe_images(digits[0])
    measured = {
        name: Measured(float(values.min()), float(values.max()), float(values.mean()))
        for name, values in statistics.items()
    }
    reference = measure_in_memory(dict.fromkeys(SPLITS, digits))
    return text_format.Parse(propose_schema(measured, reference), schema_pb2.Schema())


@pytest.fixture
def reasons(schema: schema_pb2.Schema) -> Reasons:
    """Returns the reasons to reject a split with the given images and labels."""

    def find(images: np.ndarray, labels: np.ndarray) -> list[str]:
        columns: dict[str, object] = dict(describe_images(images))
        columns[features.IMAGE] = [image.tobytes() for image in images]
        columns[features.LABEL] = labels
        options = tfdv.StatsOptions(schema=schema)
        statistics = tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns), options, 1)
        return list_reasons(tfdv.validate_statistics(statistics, schema))

    return find


def blank() -> np.ndarray:
    return np.zeros((1, 28, 28, 1), np.uint8)


def inverted() -> np.ndarray:
    return 255 - real_digits(1)[0][:1]


def faint() -> np.ndarray:
    """A digit with pixels in [0, 1] instead of [0, 255]: nearly black."""
    return real_digits(1)[0][:1] // 255


def noise() -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (1, 28, 28, 1)).astype(np.uint8)


def garment() -> np.ndarray:
    """A light shape that touches the top and bottom edges, as in Fashion-MNIST."""
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[:, :, 8:20] = 180
    return image


def other_digits() -> np.ndarray:
    """Handwritten digits from another data set, which fill the frame."""
    pixels = (load_digits().images[:20] * (255 / 16)).astype(np.uint8)
    scaled = [
        Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR) for image in pixels
    ]
    return np.stack([np.asarray(image) for image in scaled])[..., np.newaxis]


def photographs() -> np.ndarray:
    """Grayscale crops of two photographs."""
    photos = [np.asarray(Image.fromarray(i).convert("L")) for i in load_sample_images().images]
    crops = [photo[y : y + 28, 300:328] for photo in photos for y in range(100, 300, 28)]
    return np.stack(crops)[..., np.newaxis]


def test_real_digits_satisfy_the_schema(reasons: Reasons) -> None:
    assert reasons(*real_digits(500)) == []


@pytest.mark.parametrize(
    ("foreign", "feature"),
    [
        (blank, "mean_intensity: Unexpectedly low"),
        (blank, "bright_fraction: Unexpectedly low"),
        (inverted, "mean_intensity: Unexpectedly high"),
        (inverted, "bright_fraction: Unexpectedly high"),
        (inverted, "border_bright_fraction: Unexpectedly high"),
        (faint, "mean_intensity: Unexpectedly low"),
        (noise, "border_bright_fraction: Unexpectedly high"),
        (garment, "border_bright_fraction: Unexpectedly high"),
        (other_digits, "border_bright_fraction: Unexpectedly high"),
        (photographs, "bright_fraction: Unexpectedly high"),
    ],
)
def test_a_few_foreign_images_among_digits_are_detected(
    foreign: Callable[[], np.ndarray], feature: str, reasons: Reasons
) -> None:
    images, labels = real_digits(100)
    others = foreign()
    images[100 : 100 + len(others)] = others
    assert [reason for reason in reasons(images, labels) if reason.startswith(feature)]


@pytest.mark.parametrize(
    ("label", "reason"),
    [(10, "Unexpectedly large value: 10"), (-1, "Unexpectedly small value: -1")],
)
def test_a_label_out_of_range_is_detected(label: int, reason: str, reasons: Reasons) -> None:
    images, labels = real_digits(50)
    labels[7] = label
    (found,) = reasons(images, labels)
    assert found.startswith(f"label: {reason}")


@pytest.mark.parametrize("digit", [0, 7, 9])
def test_a_missing_class_is_detected(digit: int, reasons: Reasons) -> None:
    images, labels = real_digits(10)
    kept = np.flatnonzero(labels != digit)
    (found,) = reasons(images[kept], labels[kept])
    assert found == "label: Expected at least 10 unique values but found only 9."


def test_validation_fails_if_statistics_were_computed_without_the_schema(
    schema: schema_pb2.Schema,
) -> None:
    frame = pd.DataFrame({features.LABEL: real_digits(1)[1]})
    statistics = tfdv.generate_statistics_from_dataframe(frame, tfdv.StatsOptions(), 1)
    found = list_reasons(tfdv.validate_statistics(statistics, schema))
    assert [reason for reason in found if reason.startswith("label: UniqueConstraints specified")]


def test_each_feature_is_required(schema: schema_pb2.Schema, reasons: Reasons) -> None:
    frame = pd.DataFrame({features.LABEL: real_digits(1)[1]})
    options = tfdv.StatsOptions(schema=schema)
    statistics = tfdv.generate_statistics_from_dataframe(frame, options, 1)
    assert list_reasons(tfdv.validate_statistics(statistics, schema)) == [
        f"{feature}: Column is completely missing"
        for feature in sorted([*DATASET.image_statistics, features.IMAGE])
    ]


def test_transform_derives_the_raw_feature_spec_from_the_schema(schema: schema_pb2.Schema) -> None:
    spec = schema_utils.schema_as_feature_spec(schema).feature_spec
    assert {name: (column.shape, column.dtype.name) for name, column in spec.items()} == {
        features.IMAGE: ([], "string"),
        features.LABEL: ([], "int64"),
        "mean_intensity": ([], "float32"),
        "bright_fraction": ([], "float32"),
        "border_bright_fraction": ([], "float32"),
    }


@pytest.mark.parametrize("schema", ["reviewed"], indirect=True)
@pytest.mark.parametrize("split", ["train", "test"])
def test_full_data_set_satisfies_the_reviewed_schema(split: str, reasons: Reasons) -> None:
    from components.example_gen.reading import make_reader
    from components.example_gen.sources import default_data_dir, is_prepared
    from components.example_gen.splits import Slice

    if not is_prepared(""):
        pytest.skip(f"needs {DATASET.title}, prepared by TFDS in {default_data_dir()}")
    reader = make_reader("tfds", "")
    part = Slice(split, 0, reader.sizes()[split], "")
    images, labels = (np.concatenate(column) for column in zip(*reader.batches(part), strict=True))
    assert len(images) == {"train": 60_000, "test": 10_000}[split]
    assert reasons(images, labels) == []
