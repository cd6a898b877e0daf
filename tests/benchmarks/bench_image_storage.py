"""Compares storing images as raw bytes with storing them as PNG.

    python tests/benchmarks/bench_image_storage.py

Reads the full data set if TFDS has prepared it (TFDS_DATA_DIR), else the bundled sample. Prints the
CPU and wall time for writing the examples, their size, and the CPU and wall time for decoding them
in batches with TensorFlow, as Transform and the Trainer do. Ratios are relative to raw bytes.
"""

# ruff: noqa: T201 - prints a table

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from components.example_gen import sources
from components.example_gen.reading import make_reader
from components.example_gen.splits import make_slices
from models import features

BATCH_SIZE = 1000
FEATURES = {
    features.IMAGE: tf.io.FixedLenFeature([], tf.string),
    features.LABEL: tf.io.FixedLenFeature([], tf.int64),
}


class Storage(NamedTuple):
    """A storage format.

    Attributes:
      name: name in the table.
      encode: converts a batch of uint8 images to bytes, one value for each image.
      decode: converts a string tensor of such bytes to a batch of uint8 images.
    """

    name: str
    encode: Callable[[np.ndarray], list[bytes]]
    decode: Callable[[tf.Tensor], tf.Tensor]


def main() -> None:
    """Measures both formats and prints the table."""
    batches = list(_read_all())
    count = sum(len(labels) for _, labels in batches)
    print(f"{count:,} images, gzipped TFRecord files of tf.Examples\n")
    header = ("storage", "write CPU", "write wall", "size", "decode CPU", "decode wall")
    print("".join(f"{column:>16}" for column in header))
    raw: list[float] = []
    for storage in (RAW, PNG):
        measured = _measure(storage, batches)
        raw = raw or measured
        cells = [
            f"{value:.1f} {unit} {value / raw_value:4.1f}x"
            for value, raw_value, unit in zip(
                measured, raw, ("s", "s", "MB", "s", "s"), strict=True
            )
        ]
        print("".join(f"{cell:>16}" for cell in (storage.name, *cells)))


def _read_all() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    data_dir = str(sources.default_data_dir())
    source = sources.TFDS if sources.is_prepared(data_dir) else sources.BUNDLED
    reader = make_reader(source, data_dir)
    for part in make_slices(reader.sizes(), max(reader.sizes().values())):
        yield from reader.batches(part)


def _measure(storage: Storage, batches: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Returns CPU and wall seconds for writing, megabytes, CPU and wall seconds for decoding."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "examples.gz"
        writing = _timed(_write, path, storage, batches)
        size = path.stat().st_size / 1e6
        decoding = _timed(_decode, path, storage)
    return [*writing, size, *decoding]


def _timed(function: Callable[..., None], *arguments: Any) -> tuple[float, float]:
    """Returns the CPU and wall seconds of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    function(*arguments)
    return time.process_time() - cpu, time.perf_counter() - wall


def _write(path: Path, storage: Storage, batches: list[tuple[np.ndarray, np.ndarray]]) -> None:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for images, labels in batches:
            for image, label in zip(storage.encode(images), labels, strict=True):
                example = tf.train.Example()
                example.features.feature[features.IMAGE].bytes_list.value.append(image)
                example.features.feature[features.LABEL].int64_list.value.append(int(label))
                writer.write(example.SerializeToString())


def _decode(path: Path, storage: Storage) -> None:
    @tf.function
    def decode(records: tf.Tensor) -> tf.Tensor:
        return storage.decode(tf.io.parse_example(records, FEATURES)[features.IMAGE])

    records = tf.data.TFRecordDataset(str(path), "GZIP").batch(BATCH_SIZE)
    for images in records.map(decode).as_numpy_iterator():
        assert images.shape[1:] == features.IMAGE_SHAPE


def _decode_raw(encoded: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.io.decode_raw(encoded, tf.uint8), (-1, *features.IMAGE_SHAPE))


def _decode_png(encoded: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(
        lambda image: tf.ensure_shape(tf.io.decode_png(image, channels=1), features.IMAGE_SHAPE),
        encoded,
        fn_output_signature=tf.uint8,
    )


RAW = Storage("raw bytes", lambda images: [image.tobytes() for image in images], _decode_raw)
PNG = Storage("PNG", lambda images: list(tf.io.encode_png(images).numpy()), _decode_png)


if __name__ == "__main__":
    main()
