"""Models for tests of the model gate: real SavedModels, exported like the Trainer's.

The network compares an image with the mean image of each class, so it needs no training. Images may
have a mark in their first value, which is 0 in `synthetic_examples`. A test decides which images a
model gets wrong by their marks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_transform.output_wrapper import TFTransformOutput
from tfx.components.evaluator import executor as evaluator
from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, standard_artifacts
from tfx.utils import path_utils, proto_utils

from components.common.example_files import record_checksums
from components.model_gate import executor as gate
from components.model_gate.eval_config import make_eval_config
from components.model_gate.rules import Verdict, read_verdict
from components.model_gate.thresholds import Thresholds
from models.features import IMAGE_BYTES, IMAGE_SHAPE, NUM_CLASSES, PROBABILITIES
from models.signatures import ServingModel
from support.small_trainings import write_examples, write_transform_graph
from support.tfds_directory import Examples, synthetic_examples
from support.tfx_executors import BEAM_ARGS

PER_CLASS = 110
"""Test images of each class: 1,100 images of 10 classes."""


def build_network(sharpness: float = 1.0) -> keras.Model:
    """Builds a network that is right about all synthetic images.

    Args:
      sharpness: factor of the logits. 1 gives the correct class a probability of about 0.99.
    """
    images, labels = synthetic_examples(20)
    means = np.stack([images[labels == label].mean(axis=0) for label in range(NUM_CLASSES)]) / 255
    means = means.reshape(NUM_CLASSES, -1)
    distances = ((means[:, np.newaxis] - means) ** 2).sum(axis=-1)
    scale = sharpness * 8 / distances[distances > 0].min()
    network = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES, activation="softmax"),
        ]
    )
    network.layers[-1].set_weights([2 * scale * means.T, -scale * (means**2).sum(axis=1)])
    return network


class GateModel(ServingModel):
    """A trained model, except that `shifts[mark]` is added to the label of a marked image.

    A test overrides the methods of a signature, or `answer`, which all signatures call.
    """

    def __init__(
        self, network: keras.Model, tft_output: TFTransformOutput, shifts: Mapping[int, int]
    ) -> None:
        super().__init__(network, tft_output)
        self._shifts = [shifts.get(mark, 0) for mark in range(256)]

    def _classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        marks = tf.reshape(images, (-1, IMAGE_BYTES))[:, 0] * 255
        shifts = tf.gather(tf.constant(self._shifts), tf.cast(tf.round(marks), tf.int32))
        columns = (tf.range(NUM_CLASSES) - shifts[:, tf.newaxis]) % NUM_CLASSES
        probabilities = super()._classify(images)[PROBABILITIES]
        shifted = tf.gather(probabilities, columns, batch_dims=1)
        # Like most errors, these are less certain.
        probabilities = tf.where(
            shifts[:, tf.newaxis] == 0, probabilities, 0.55 * shifted + 0.45 * probabilities
        )
        return {PROBABILITIES: self.answer(probabilities, images)}

    def answer(self, probabilities: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Changes the probabilities for images of float32 (batch, *IMAGE_SHAPE) in [0, 1]."""
        del images
        return probabilities


def export(
    model: ServingModel, directory: Path, without: Collection[str] = (), **signatures: Any
) -> Path:
    """Writes a SavedModel like `models.signatures.export_saved_model`.

    Args:
      model: exported with its own signatures.
      directory: target directory.
      without: names of signatures to leave out.
      **signatures: functions that replace or extend the model's own.
    """
    exported = {
        "serving_default": model.classify_examples,
        "serving_images": model.classify_images,
        "predict_images": model.predict_images,
        "transform_features": model.transform_features,
        **signatures,
    }
    kept = {name: function for name, function in exported.items() if name not in without}
    tf.saved_model.save(model, str(directory), signatures=kept)
    return directory


def marked_examples(per_class: int = PER_CLASS, **marks: Sequence[int]) -> Examples:
    """Creates test images, of which the given rows are marked.

    Args:
      per_class: number of images of each class, in the order of the classes.
      **marks: rows by mark, such as `m1=[0, 10]` for the mark 1.
    """
    images, labels = synthetic_examples(per_class, seed=1)
    for name, rows in marks.items():
        images[list(rows), 0, 0] = int(name.removeprefix("m"))
    return images, labels


class Workbench:
    """Runs the Evaluator and ModelGate on models, one directory per model."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        write_transform_graph(directory / "transform_graph")
        self.tft_output = TFTransformOutput(str(directory / "transform_graph"))
        self._networks: dict[float, keras.Model] = {}

    def model(
        self,
        kind: type[GateModel] = GateModel,
        shifts: Mapping[int, int] | None = None,
        sharpness: float = 1.0,
    ) -> GateModel:
        """Creates a model. `sharpness` is described at `build_network`."""
        if sharpness not in self._networks:
            self._networks[sharpness] = build_network(sharpness)
        return kind(self._networks[sharpness], self.tft_output, shifts or {})

    def save(self, name: str, model: ServingModel, **options: Any) -> Artifact:
        """Exports a model to an artifact; `options` are those of `export`."""
        artifact = standard_artifacts.Model()
        artifact.uri = str(self.directory / name)
        artifact.id = 1
        export(model, Path(path_utils.serving_model_dir(artifact.uri)), **options)
        return artifact

    def examples(self, name: str, given: Examples) -> Artifact:
        """Writes the split `test` like ImageExampleGen."""
        artifact = standard_artifacts.Examples()
        artifact.uri = str(self.directory / name)
        artifact.split_names = '["test"]'
        examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(artifact, "tfrecords_gzip")
        counts = {"test": dict(Counter(given[1].tolist()))}
        artifact.set_string_custom_property("label_counts", json.dumps(counts))
        artifact.set_string_custom_property("fingerprint", "f" * 64)
        split = Path(artifact.uri, "Split-test")
        split.mkdir(parents=True)
        write_examples(split / "data_tfrecord-00000-of-00001.gz", *given)
        record_checksums(artifact)
        return artifact

    def evaluate(self, name: str, examples: Artifact, *models: Artifact) -> Artifact:
        """Runs the stock Evaluator on a candidate and optionally a baseline."""
        evaluation = standard_artifacts.ModelEvaluation()
        evaluation.uri = str(self.directory / name)
        context = BaseBeamExecutor.Context(
            beam_pipeline_args=list(BEAM_ARGS), tmp_dir=str(self.directory / "tmp"), unique_id="1"
        )
        evaluator.Executor(context).Do(
            {
                "examples": [examples],
                "model": [models[0]],
                "baseline_model": list(models[1:]),
            },
            {"evaluation": [evaluation], "blessing": [standard_artifacts.ModelBlessing()]},
            {
                "eval_config": proto_utils.proto_to_json(make_eval_config()),
                "example_splits": '["test"]',
            },
        )
        return evaluation

    def decide(
        self,
        name: str,
        examples: Artifact,
        evaluation: Artifact,
        *models: Artifact,
        **thresholds: object,
    ) -> tuple[Artifact, Verdict]:
        """Runs ModelGate on a candidate and optionally a baseline; returns its output."""
        blessing = standard_artifacts.ModelBlessing()
        blessing.uri = str(self.directory / name)
        given = Thresholds.model_validate(thresholds)
        gate.Executor().Do(
            {
                "examples": [examples],
                "evaluation": [evaluation],
                "model": [models[0]],
                "baseline_model": list(models[1:]),
            },
            {"blessing": [blessing]},
            {"thresholds": given.model_dump_json()},
        )
        return blessing, read_verdict(blessing.uri)
