"""A pipeline of stock TFX components with the notebook's network and settings.

    export PYTHONPATH=.:tests
    .venv/bin/python -m benchmarks.stock_tfx prepare DIRECTORY
    .venv/bin/python -m benchmarks.stock_tfx run DIRECTORY

It follows TFX's MNIST example (`tfx/examples/mnist`) and its tutorials: ImportExampleGen on
TFRecord files, an inferred schema, a Transform that stores the transformed examples, TFXIO's
shuffled input, and an Evaluator with an accuracy threshold. Where there was a choice, it takes the
faster one: images as raw bytes instead of PNG, the user's code as an importable module instead of a
`module_file` that is packaged in each run, one Beam process, no baseline. `prepare` writes the
TFRecord files, and is not part of the measurement.
"""

# ruff: noqa: T201 - prints the result

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from benchmarks import plain_keras

IMAGE = "image"
LABEL = "label"
COUNTS = "counts.json"
"""File with the number of images by split, which ends the preparation."""

BEAM_ARGS = [
    "--runner=apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner",
    "--sdk_container_image=unused",  # Without it, TFX packages its own source in each stage.
    "--pickle_library=cloudpickle",
    "--no_pipeline_type_check",
]


def main() -> None:
    """Writes the examples, or runs the pipeline and prints the result."""
    parser = argparse.ArgumentParser(description="Run stock TFX components on MNIST.")
    parser.add_argument("action", choices=("prepare", "run"))
    parser.add_argument("directory", type=Path, help="where `prepare` writes the examples")
    parser.add_argument("--root", type=Path, default=Path("output/stock"), help="for artifacts")
    plain_keras.add_options(parser)
    options = parser.parse_args()
    if options.action == "prepare":
        prepare(options.directory, options.data, options.limit)
    else:
        counts = json.loads((options.directory / COUNTS).read_text())
        run(options.directory, options.root, counts, options.epochs, options.seed)


def prepare(directory: Path, source: str, limit: int) -> None:
    """Writes TFRecord files with the splits of the plain script, unless they exist."""
    if (directory / COUNTS).exists():
        return
    (images, labels), test, share = plain_keras.load(source, limit)
    count = int(len(labels) * (1 - share))
    splits = {
        "train": (images[:count], labels[:count]),
        "validation": (images[count:], labels[count:]),
        "test": test,
    }
    for name, examples in splits.items():
        path = directory / name / "images.tfrecord.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for serialized in _serialize(*examples):
                writer.write(serialized)
    counts = {name: len(examples[1]) for name, examples in splits.items()}
    (directory / COUNTS).write_text(json.dumps(counts))


def _serialize(images: Any, labels: Any) -> Iterator[bytes]:
    for image, label in zip(images, labels, strict=True):
        example = tf.train.Example()
        example.features.feature[IMAGE].bytes_list.value.append(image.tobytes())
        example.features.feature[LABEL].int64_list.value.append(int(label))
        yield example.SerializeToString()


def run(directory: Path, root: Path, counts: Mapping[str, int], epochs: int, seed: int) -> None:
    """Runs the pipeline and prints the Evaluator's accuracy as JSON."""
    from absl import logging
    from tfx import v1 as tfx

    # The benchmark reads the start and end of each component from TFX's log.
    logging.set_verbosity(logging.INFO)
    tfx.orchestration.LocalDagRunner().run(create_pipeline(directory, root, counts, epochs, seed))
    (evaluation,) = (root / "Evaluator" / "evaluation").iterdir()
    accuracy = _read_accuracy(evaluation)
    if not any((root / "serving").iterdir()):
        raise SystemExit(f"nothing was pushed: accuracy {accuracy:.2%}")
    print(
        json.dumps(
            {
                "correct": round(accuracy * counts["test"]),
                "test_images": counts["test"],
                "train_images": counts["train"],
            }
        )
    )


def _read_accuracy(evaluation: Path) -> float:
    import tensorflow_model_analysis as tfma

    metrics = tfma.load_eval_result(str(evaluation)).get_metrics_for_slice()
    return float(metrics["accuracy"]["doubleValue"])


def create_pipeline(
    directory: Path, root: Path, counts: Mapping[str, int], epochs: int, seed: int
) -> Any:
    """Builds the pipeline; `counts` are the images by split."""
    import tensorflow_model_analysis as tfma
    from tfx import v1 as tfx

    splits = [
        tfx.proto.Input.Split(name=name, pattern=f"{name}/*.gz")
        for name in ("train", "validation", "test")
    ]
    example_gen = tfx.components.ImportExampleGen(
        input_base=str(directory.absolute()), input_config=tfx.proto.Input(splits=splits)
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = tfx.components.SchemaGen(statistics=statistics)
    schema = schema_gen.outputs["schema"]
    validator = tfx.components.ExampleValidator(statistics=statistics, schema=schema)
    transform = tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="benchmarks.stock_tfx.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=["train", "validation"]),
    )
    trainer = tfx.components.Trainer(
        run_fn="benchmarks.stock_tfx.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=tfx.proto.TrainArgs(
            splits=["train"], num_steps=math.ceil(counts["train"] / plain_keras.BATCH_SIZE)
        ),
        eval_args=tfx.proto.EvalArgs(
            splits=["validation"],
            num_steps=math.ceil(counts["validation"] / plain_keras.BATCH_SIZE),
        ),
        custom_config={"epochs": epochs, "seed": seed},
    )
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": 0.0})
    )
    evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=["test"],
        model=trainer.outputs["model"],
        eval_config=tfma.EvalConfig(
            model_specs=[tfma.ModelSpec(label_key=LABEL)],
            slicing_specs=[tfma.SlicingSpec()],
            metrics_specs=[
                tfma.MetricsSpec(
                    metrics=[
                        tfma.MetricConfig(
                            class_name="SparseCategoricalAccuracy",
                            config='{"name": "accuracy"}',
                            threshold=threshold,
                        ),
                        tfma.MetricConfig(
                            class_name="SparseCategoricalCrossentropy", config='{"name": "loss"}'
                        ),
                    ]
                )
            ],
        ),
    )
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=str((root / "serving").absolute())
            )
        ),
    )
    return tfx.dsl.Pipeline(
        pipeline_name="stock",
        pipeline_root=str(root.absolute()),
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            validator,
            transform,
            trainer,
            evaluator,
            pusher,
        ],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(root.absolute() / "metadata.sqlite")
        ),
        beam_pipeline_args=BEAM_ARGS,
    )


def preprocessing_fn(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Decodes raw images (batch,) to float32 (batch, 28, 28, 1) in [0, 1]; labels pass through."""
    pixels = tf.io.decode_raw(tf.reshape(inputs[IMAGE], [-1]), tf.uint8, fixed_length=784)
    images = tf.cast(tf.reshape(pixels, [-1, 28, 28, 1]), tf.float32) / 255
    return {IMAGE: images, LABEL: inputs[LABEL]}


def run_fn(fn_args: Any) -> None:
    """Trains on the transformed examples and exports a model of serialized raw examples."""
    import keras
    from tensorflow_transform.output_wrapper import TFTransformOutput
    from tfx_bsl.public import tfxio

    config = fn_args.custom_config
    keras.utils.set_random_seed(config["seed"])
    transform = TFTransformOutput(fn_args.transform_graph_path)
    spec = transform.transformed_metadata.schema

    def read(files: list[str], training: bool) -> tf.data.Dataset:
        options = tfxio.TensorFlowDatasetOptions(
            batch_size=plain_keras.BATCH_SIZE,
            label_key=LABEL,
            shuffle=training,
            num_epochs=None if training else 1,
        )
        return fn_args.data_accessor.tf_dataset_factory(files, options, spec)

    model = plain_keras.build_network()
    plain_keras.began("fit")
    model.fit(
        read(fn_args.train_files, training=True),
        steps_per_epoch=fn_args.train_steps,
        validation_data=read(fn_args.eval_files, training=False),
        epochs=config["epochs"],
        callbacks=[
            *plain_keras.make_callbacks(),
            keras.callbacks.TensorBoard(fn_args.model_run_dir, update_freq="epoch"),
        ],
        verbose=0,
    )
    plain_keras.ended("fit")
    model.tft_layer = transform.transform_features_layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        raw_spec = transform.raw_feature_spec()
        raw_spec.pop(LABEL)
        features = model.tft_layer(tf.io.parse_example(serialized, raw_spec))
        return {"probabilities": model(features[IMAGE])}

    tf.saved_model.save(model, fn_args.serving_model_dir, signatures={"serving_default": serve})


if __name__ == "__main__":
    main()
