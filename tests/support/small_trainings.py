"""Trains small models with `run_fn`, in this process or in one that is killed.

The script `small_trainings.py <data> <output> <custom_config as JSON> <epoch>` trains, and kills
itself with SIGKILL after training the given epoch but before backing it up. The first epoch is 1; 0
means that the process is not killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl
from tfx.components.trainer.fn_args_utils import FnArgs

from models import features
from models.architectures import ARCHITECTURES
from models.definition import DATASET
from models.progress import PROGRESS_LOGGER
from models.trainer import run_fn
from support.second_architecture import build_second
from support.tfds_directory import Examples, synthetic_examples

_STATISTICS: tuple[str, ...] = DATASET.image_statistics


def serialize(image: np.ndarray, label: int) -> bytes:
    """Serializes a raw example like those of ExampleGen, with arbitrary image statistics."""
    example = tf.train.Example()
    feature = example.features.feature
    feature[features.IMAGE].bytes_list.value.append(image.tobytes())
    feature[features.LABEL].int64_list.value.append(int(label))
    for name in _STATISTICS:
        feature[name].float_list.value.append(0.125)
    return example.SerializeToString()


def write_examples(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Writes a gzipped TFRecord file of raw examples."""
    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for image, label in zip(images, labels, strict=True):
            writer.write(serialize(image, label))


def write_data(directory: Path, examples: Examples, train: int) -> Path:
    """Writes the first `train` examples to two training files and the others to a validation file.

    Returns:
      The directory.
    """
    images, labels = examples
    half = train // 2
    write_examples(directory / "train-00000-of-00002.gz", images[:half], labels[:half])
    write_examples(directory / "train-00001-of-00002.gz", images[half:train], labels[half:train])
    write_examples(directory / "validation.gz", images[train:], labels[train:])
    return directory


def write_transform_graph(directory: Path) -> None:
    """Runs TFT's analysis of `preprocessing_fn` and writes the graph like TFX's Transform."""
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from tensorflow_transform.beam.context import Context
    from tensorflow_transform.beam.impl import AnalyzeDataset
    from tensorflow_transform.beam.tft_beam_io.transform_fn_io import WriteTransformFn
    from tensorflow_transform.output_wrapper import TFTransformOutput
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
    from tfx_bsl.public.tfxio import TFExampleRecord

    from models.preprocessing import preprocessing_fn

    spec = {
        features.IMAGE: tf.io.FixedLenFeature([], tf.string),
        features.LABEL: tf.io.FixedLenFeature([], tf.int64),
        **{name: tf.io.FixedLenFeature([], tf.float32) for name in _STATISTICS},
    }
    metadata = dataset_metadata.DatasetMetadata.from_feature_spec(spec)
    with tempfile.TemporaryDirectory() as temporary:
        examples = Path(temporary) / "examples.gz"
        write_examples(examples, *synthetic_examples(2))
        source = TFExampleRecord(str(examples), schema=metadata.schema)
        with beam.Pipeline(runner=FnApiRunner()) as pipeline, Context(temp_dir=temporary):
            batches = (pipeline | source.BeamSource(), source.TensorAdapterConfig())
            graph = batches | AnalyzeDataset(preprocessing_fn)
            graph | WriteTransformFn(str(directory))
    metadata_io.write_metadata(metadata, str(directory / TFTransformOutput.RAW_METADATA_DIR))


def make_fn_args(data: Path, output: Path, config: Mapping[str, object]) -> FnArgs:
    """Builds the arguments that TFX passes to `run_fn`."""
    return FnArgs(
        train_files=[f"{data}/train-*"],
        eval_files=[f"{data}/validation*"],
        transform_graph_path=str(data / "transform_graph"),
        serving_model_dir=str(output / "Format-Serving"),
        model_run_dir=str(output / "run"),
        custom_config=dict(config),
    )


def train(data: Path, output: Path, **config: object) -> Path:
    """Trains in this process and returns `output`."""
    run_fn(make_fn_args(data, output, config))
    return output


def train_in_subprocess(
    data: Path, output: Path, killed_after_epoch: int = 0, **config: object
) -> int:
    """Trains in a new process, with `second` as an additional architecture.

    Returns:
      The exit status of the process.
    """
    arguments = [str(data), str(output), json.dumps(config), str(killed_after_epoch)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def history(output: Path) -> list[dict[str, float]]:
    """Reads the training history, without the durations of the epochs."""
    epochs = json.loads((output / "run" / "history.json").read_text())["epochs"]
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in epochs]


def graph_functions(output: Path) -> Sequence[Any]:
    """Reads the FunctionDef protos of an exported model."""
    saved_model = loader_impl.parse_saved_model(str(output / "Format-Serving"))
    return saved_model.meta_graphs[0].graph_def.library.function


def parameters(output: Path) -> dict[str, np.ndarray]:
    """Reads the network's float32 constants from an exported model, by their names in its graph."""
    (network,) = (
        function
        for function in graph_functions(output)
        if function.signature.name.startswith("__inference_network")
    )
    constants = {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for node in network.node_def
        if node.op == "Const"
    }
    return {name: value for name, value in constants.items() if value.dtype == np.float32}


def weights(output: Path) -> list[bytes]:
    """Reads `parameters` as sorted bytes. Their names depend on the models built before."""
    return sorted(tensor.tobytes() for tensor in parameters(output).values())


class _KillingHandler(logging.Handler):
    """Kills the process when the end of the given epoch is logged."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def emit(self, record: logging.LogRecord) -> None:
        progress = record.__dict__["progress"]
        if progress.epoch == self._epoch and "val_accuracy" in progress.metrics:
            os.kill(os.getpid(), signal.SIGKILL)


def _main(data: str, output: str, config: str, killed_after_epoch: str) -> None:
    ARCHITECTURES["second"] = build_second
    logger = logging.getLogger(PROGRESS_LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(_KillingHandler(int(killed_after_epoch)))
    train(Path(data), Path(output), **json.loads(config))


if __name__ == "__main__":
    _main(*sys.argv[1:])
