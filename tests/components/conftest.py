"""A toy model that returns the predictions encoded in its examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from models.features import IMAGE, IMAGE_BYTES, LABEL, NUM_CLASSES, PROBABILITIES

if TYPE_CHECKING:
    from tfx.types import Artifact


@dataclass(frozen=True)
class Case:
    """One example: its label, and the predictions of the model (`predicted`) and of the baseline.

    A prediction is a label or an invalid value such as `Toy.NAN`. With n classes, the predicted
    class has probability 0.8 + 0.1 / n, the next class (cyclically) 0.1 + 0.1 / n, and the others
    0.1 / n.
    """

    label: int
    predicted: int
    baseline: int = 0


class Toy:
    """Creates artifacts with real SavedModels and TFRecord files.

    Attributes:
      classes: number of classes in the models and in `cases`.
      image_bytes: bytes per image.
    """

    NAN = 100
    """Predicts NaN for every class."""
    NAN_AT_0 = 101
    """Predicts NaN for class 0 and valid probabilities for the others."""
    INFINITY_AT_0 = 102
    """Predicts infinity for class 0 and valid probabilities for the others."""
    ZEROS = 103
    """Predicts 0 for every class."""
    SUM_OF_2 = 104
    """Predicts probabilities that sum to 2."""

    Case = Case

    def __init__(
        self, directory: Path, classes: int = NUM_CLASSES, image_bytes: int = IMAGE_BYTES
    ) -> None:
        self.directory = directory
        self.classes = classes
        self.image_bytes = image_bytes

    def cases(self, right: int, wrong: int = 0, baseline_wrong: int = 0) -> list[Any]:
        """Returns `right` + `wrong` examples that cycle through the classes.

        The model is wrong on the last `wrong` examples, and the baseline on the first
        `baseline_wrong` examples.
        """
        labels = [i % self.classes for i in range(right + wrong)]
        return [
            Case(
                label=label,
                predicted=label if i < right else (label + 1) % self.classes,
                baseline=(label + 1) % self.classes if i < baseline_wrong else label,
            )
            for i, label in enumerate(labels)
        ]

    def saved_model(self, path: Path, is_baseline: bool = False) -> Path:
        """Writes the SavedModel of the model or of the baseline."""
        import tensorflow as tf

        module = _module(is_baseline, self.classes)
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
        return path

    def model(self, name: str = "model", is_baseline: bool = False, model_id: int = 1) -> Artifact:
        from tfx.types import standard_artifacts
        from tfx.utils import path_utils

        artifact = standard_artifacts.Model()
        artifact.uri = str(self.directory / name)
        artifact.id = model_id
        self.saved_model(Path(path_utils.serving_model_dir(artifact.uri)), is_baseline)
        return artifact

    def examples(self, cases: Iterable[Any], name: str = "examples") -> Artifact:
        """Writes the split `test` and sets the custom properties that ImageExampleGen sets."""
        import tensorflow as tf
        from tfx.types import standard_artifacts

        artifact = standard_artifacts.Examples()
        artifact.uri = str(self.directory / name)
        artifact.id = 7
        artifact.split_names = '["test"]'
        artifact.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
        artifact.set_string_custom_property("file_format", "tfrecords_gzip")
        artifact.set_string_custom_property("source", "toy")
        artifact.set_string_custom_property("fingerprint", "f" * 64)
        serialized = [serialize(case, self.image_bytes) for case in cases]
        artifact.set_int_custom_property("count_test", len(serialized))
        split = self.directory / name / "Split-test"
        split.mkdir(parents=True)
        file = split / "data_tfrecord-00000-of-00001.gz"
        with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
            for record in serialized:
                writer.write(record)
        return artifact


def serialize(case: Case, image_bytes: int) -> bytes:
    """Returns a raw tf.Example with the predictions in the first two bytes of its image."""
    import tensorflow as tf

    pixels = bytes([case.predicted, case.baseline]).ljust(image_bytes, b"\0")
    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(pixels)
    example.features.feature[LABEL].int64_list.value.append(case.label)
    return example.SerializeToString()


def _module(is_baseline: bool, classes: int):  # type: ignore[no-untyped-def]
    import tensorflow as tf

    invalid = {
        Toy.NAN: [float("nan")] * classes,
        Toy.NAN_AT_0: [float("nan")] + [1 / classes] * (classes - 1),
        Toy.INFINITY_AT_0: [float("inf")] + [1 / classes] * (classes - 1),
        Toy.ZEROS: [0.0] * classes,
        Toy.SUM_OF_2: [2 / classes] * classes,
    }

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            parsed = tf.io.parse_example(examples, {IMAGE: tf.io.FixedLenFeature([], tf.string)})
            pixels = tf.cast(tf.io.decode_raw(parsed[IMAGE], tf.uint8), tf.int32)
            predicted = pixels[:, 1 if is_baseline else 0]
            first = tf.one_hot(predicted, classes)
            second = tf.one_hot((predicted + 1) % classes, classes)
            probabilities = first * 0.8 + second * 0.1 + 0.1 / classes
            for prediction, row in invalid.items():
                selected = (predicted == prediction)[:, tf.newaxis]
                probabilities = tf.where(selected, tf.constant([row]), probabilities)
            return {PROBABILITIES: probabilities}

    return Module()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)
