"""A model that answers what its examples tell it to, so that tests know how often it is right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tfx.types import Artifact


@dataclass(frozen=True)
class Question:
    """One example: its label, and what the model and the baseline model are to answer.

    An answer is a digit, or one of `Toy.NAN` and the like. A digit has probability 0.81, the one
    after it (0 after 9) 0.11, and the others 0.01.
    """

    label: int
    answer: int
    baseline: int = 0


class Toy:
    """Makes real SavedModels and TFRecords, and the artifacts that hold them."""

    NAN = 100
    """Answers NaN for each digit."""
    NAN_AT_0 = 101
    """Answers NaN for digit 0 and real probabilities for the others."""
    INFINITY_AT_0 = 102
    """The same with infinity."""
    ZEROS = 103
    """Answers 0 for each digit."""
    TOO_MUCH = 104
    """Answers probabilities that sum to 2."""

    Question = Question

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.classes = 10

    @staticmethod
    def questions(right: int, wrong: int = 0, baseline_wrong: int = 0) -> list[Any]:
        """As many, of all digits in turn; the baseline is wrong on the first ones."""
        labels = [i % 10 for i in range(right + wrong)]
        return [
            Question(
                label=label,
                answer=label if i < right else (label + 1) % 10,
                baseline=(label + 1) % 10 if i < baseline_wrong else label,
            )
            for i, label in enumerate(labels)
        ]

    def saved_model(self, path: Path, asks_baseline: bool = False) -> Path:
        """Writes the model, or the one that gives the baseline's answers."""
        import tensorflow as tf

        module = _module(asks_baseline, self.classes)
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
        return path

    def model(
        self, name: str = "model", asks_baseline: bool = False, model_id: int = 1
    ) -> Artifact:
        from tfx.types import standard_artifacts
        from tfx.utils import path_utils

        artifact = standard_artifacts.Model()
        artifact.uri = str(self.directory / name)
        artifact.id = model_id
        self.saved_model(Path(path_utils.serving_model_dir(artifact.uri)), asks_baseline)
        return artifact

    def examples(self, asked: Iterable[Any], name: str = "examples") -> Artifact:
        """As split `test`, with the custom properties that ImageExampleGen sets."""
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
        serialized = [serialize(question) for question in asked]
        artifact.set_int_custom_property("count_test", len(serialized))
        split = self.directory / name / "Split-test"
        split.mkdir(parents=True)
        file = split / "data_tfrecord-00000-of-00001.gz"
        with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
            for record in serialized:
                writer.write(record)
        return artifact


def serialize(question: Question) -> bytes:
    """A raw tf.Example whose first two pixels hold the answers."""
    import tensorflow as tf

    from models import features

    pixels = bytes([question.answer, question.baseline]).ljust(features.IMAGE_BYTES, b"\0")
    example = tf.train.Example()
    example.features.feature[features.IMAGE].bytes_list.value.append(pixels)
    example.features.feature[features.LABEL].int64_list.value.append(question.label)
    example.features.feature["mean_intensity"].float_list.value.append(0.1)
    return example.SerializeToString()


def _module(asks_baseline: bool, classes: int):  # type: ignore[no-untyped-def]
    import tensorflow as tf

    from models import features

    strange = {
        Toy.NAN: [float("nan")] * classes,
        Toy.NAN_AT_0: [float("nan")] + [0.1] * (classes - 1),
        Toy.INFINITY_AT_0: [float("inf")] + [0.1] * (classes - 1),
        Toy.ZEROS: [0.0] * classes,
        Toy.TOO_MUCH: [0.2] * classes,
    }

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            parsed = tf.io.parse_example(
                examples, {features.IMAGE: tf.io.FixedLenFeature([], tf.string)}
            )
            pixels = tf.cast(tf.io.decode_raw(parsed[features.IMAGE], tf.uint8), tf.int32)
            answers = pixels[:, 1 if asks_baseline else 0]
            first = tf.one_hot(answers, classes)
            second = tf.one_hot((answers + 1) % classes, classes)
            probabilities = first * 0.8 + second * 0.1 + 0.01
            for answer, row in strange.items():
                asked = (answers == answer)[:, tf.newaxis]
                probabilities = tf.where(asked, tf.constant([row]), probabilities)
            return {features.PROBABILITIES: probabilities}

    return Module()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)
