"""Reads slices of labeled images from TFDS or from the bundled sample."""

import functools
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from components.common.errors import DataRejectedError
from components.example_gen import sources
from components.example_gen.splits import Rule, Slice
from models import features
from models.definition import DATASET

BATCH_SIZE = min(100, max(1, 2**24 // features.IMAGE_BYTES))
"""Images per batch: at most 100, and at most 16 MiB."""

DOWNLOAD_TIMEOUT = 900.0
"""Seconds allowed for TFDS to download and prepare the data. TFDS itself has no timeout."""

_PREPARE_AGAIN = "delete this directory and prepare the data again"

Batch = tuple[np.ndarray, np.ndarray]
"""uint8 images of shape (n, height, width, channels) and int64 labels of shape (n,)."""


def prepare_tfds(data_dir: str, timeout: float = DOWNLOAD_TIMEOUT) -> None:
    """Downloads and prepares the data with TFDS, unless it is already prepared.

    Raises:
      SourceUnavailableError: if TFDS has no such data set or version, or fails to prepare it within
        `timeout` seconds.
    """
    directory = data_dir or str(sources.default_data_dir())
    if sources.is_prepared(directory):
        return
    sources.resolve_source(sources.TFDS, Path(directory))
    try:
        sources.within(timeout, lambda: _download(directory))
    except Exception as error:
        if sources.is_prepared(directory):
            return  # Another process prepared the data first.
        raise sources.unavailable(
            f"tensorflow_datasets failed to prepare it in {directory} ({_one_line(error)})"
        ) from error


def _download(directory: str) -> None:
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    name = f"{DATASET.tfds_name}:{DATASET.tfds_version}"
    tfds.builder(name, data_dir=directory, try_gcs=False).download_and_prepare()


@dataclass(frozen=True)
class TfdsReader:
    """A data set prepared by TFDS, with the official splits train and test."""

    directory: str

    def rules(self) -> dict[str, Rule]:
        """Takes DATASET.validation_share of the official training split for validation."""
        shares = {"validation": DATASET.validation_share}
        return {"train": Rule("train", shares), "test": Rule("test")}

    def check(self) -> None:
        """Compares the TFDS metadata with the data definition.

        Raises:
          DataRejectedError: if they differ, or TFDS can't read the directory.
        """
        try:
            received = _facts(self._builder().info)
        except Exception as error:
            raise DataRejectedError(
                f"{self.directory} is not a readable TFDS data set: {_one_line(error)}; "
                f"{_PREPARE_AGAIN}"
            ) from error
        expected = {
            "the data set": DATASET.tfds_id,
            "the file format": "tfrecord",
            "the splits": "train, test",
            "images": f"uint8 of shape {features.IMAGE_SHAPE}",
            "the number of classes": str(features.NUM_CLASSES),
            **{f"class {label}": repr(name) for label, name in enumerate(features.CLASS_NAMES)},
        }
        for fact, value in expected.items():
            if value != received.get(fact):
                raise DataRejectedError(
                    f"{self.directory}: {fact} must be {value} to match models/definition.py, "
                    f"received {received.get(fact)}; correct the definition or use other data"
                )

    def sizes(self) -> dict[str, int]:
        """Number of examples in each official split, from the metadata."""
        splits = self._builder().info.splits
        return {official: splits[official].num_examples for official in self.rules()}

    def labels(self, part: Slice) -> Iterator[np.ndarray]:
        """Yields batches of a slice's labels, int64 of shape (n,), without decoding the images."""
        for (labels,) in self._read(part, lambda encoded: (encoded["label"],)):
            yield labels

    def batches(self, part: Slice) -> Iterator[Batch]:
        """Yields batches of a slice's examples, in the order of `labels`."""
        import tensorflow as tf

        image = self._builder().info.features["image"]

        def decode(encoded: dict[str, Any]) -> tuple[Any, Any]:
            # Decodes a fixed number of images in one call, because calls take longer than decoding
            # a small image. The last batch is filled up with copies of its last image.
            count = tf.size(encoded["label"])
            indices = tf.minimum(tf.range(BATCH_SIZE), count - 1)
            images = tf.unstack(tf.gather(encoded["image"], indices), num=BATCH_SIZE)
            return tf.stack([image.decode_example(one) for one in images])[:count], encoded["label"]

        yield from self._read(part, decode)

    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        return tfds.builder_from_directory(self.directory)

    def _read(
        self, part: Slice, decode: Callable[[dict[str, Any]], tuple[Any, ...]]
    ) -> Iterator[Any]:
        """Yields decoded batches in file order. Raises DataRejectedError if the files are damaged.

        Parses batches, because TFDS parses one example at a time: for small images, this takes ten
        times as long to read the labels, and three times as long to read the images.
        """
        import tensorflow as tf

        from models.tf_data import without_autotuning

        files = self._builder().info.splits[f"{part.official}[{part.start}:{part.stop}]"]
        names = [str(file.filename) for file in files.file_instructions]
        ranges = np.array([(file.skip, file.take) for file in files.file_instructions])
        spec = {
            "image": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
        }

        # AutoGraph would take seconds to convert library functions that don't need conversion.
        @tf.autograph.experimental.do_not_convert
        def read(name: Any, span: Any) -> Any:
            return tf.data.TFRecordDataset(name).skip(span[0]).take(span[1])

        @tf.autograph.experimental.do_not_convert
        def parse(records: Any) -> Any:
            return decode(tf.io.parse_example(records, spec))

        batches = (
            tf.data.Dataset.from_tensor_slices((names, ranges))
            .flat_map(read)
            .apply(tf.data.experimental.assert_cardinality(part.stop - part.start))
            .batch(BATCH_SIZE)
            .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(1)
        )
        try:
            yield from without_autotuning(batches).as_numpy_iterator()
        except (
            tf.errors.DataLossError,
            tf.errors.FailedPreconditionError,
            tf.errors.InvalidArgumentError,
            tf.errors.NotFoundError,
        ) as error:
            raise DataRejectedError(
                f"{self.directory}: split {part.official} can't be read between examples "
                f"{part.start} and {part.stop}: {_one_line(error)}; {_PREPARE_AGAIN}"
            ) from error


@dataclass(frozen=True)
class BundledReader:
    """A sample shipped by a package. `load` is the dotted path of the function that loads it."""

    load: str

    def rules(self) -> dict[str, Rule]:
        """Splits the sample into 70% train, 10% validation and 20% test."""
        shares = {"test": Fraction(1, 5), "validation": Fraction(1, 10)}
        return {"all": Rule("train", shares)}

    def check(self) -> None:
        """Compares the sample with the data definition.

        Raises:
          DataRejectedError: if they differ, or the function doesn't exist.
        """
        try:
            images, labels = _load(self.load)
        except (ImportError, AttributeError) as error:
            raise DataRejectedError(
                f"bundled_sample: can't load {self.load}: {_one_line(error)}; correct "
                "models/definition.py"
            ) from error
        count = len(images)
        expected = (
            f"uint8 of shape {(count, *features.IMAGE_SHAPE)}, labels int64 of shape {(count,)}"
        )
        received = (
            f"{images.dtype} of shape {images.shape}, labels {labels.dtype} of shape {labels.shape}"
        )
        if expected != received:
            raise DataRejectedError(
                f"{self.load}: images must be {expected} to match models/definition.py, "
                f"received {received}"
            )

    def sizes(self) -> dict[str, int]:
        """Number of images, as a single official split."""
        return {"all": len(_load(self.load)[1])}

    def labels(self, part: Slice) -> Iterator[np.ndarray]:
        """Yields the labels of a slice in one batch, because the sample fits in memory."""
        yield _load(self.load)[1][part.start : part.stop]

    def batches(self, part: Slice) -> Iterator[Batch]:
        """Yields the examples of a slice in one batch, in the order of `labels`."""
        images, labels = _load(self.load)
        yield images[part.start : part.stop], labels[part.start : part.stop]


Reader = TfdsReader | BundledReader
"""A picklable source of labeled images in official splits.

`rules` defines how each official split is divided, and `sizes` counts its examples. `labels` and
`batches` read a slice in the same order.
"""


def make_reader(source: str, data_dir: str) -> Reader:
    """Opens a source. Downloads TFDS data if it isn't prepared yet.

    Raises:
      SourceUnavailableError: if the data isn't prepared and can't be downloaded, or there is no
        bundled sample.
      DataRejectedError: if the data doesn't match the data definition.
      ValueError: if the source is unknown, for example after a typo in a Kubeflow run parameter.
    """
    if source not in (sources.TFDS, sources.BUNDLED):
        raise ValueError(f"data must be tfds or bundled, received {source!r}")
    reader: Reader
    if source == sources.BUNDLED:
        reader = BundledReader(sources.bundled_sample().load)
    else:
        prepare_tfds(data_dir)
        reader = TfdsReader(str(sources.prepared_dir(data_dir)))
    reader.check()
    return reader


@functools.lru_cache(maxsize=1)
def _load(path: str) -> Batch:
    module, _, function = path.rpartition(".")
    batch: Batch = getattr(importlib.import_module(module), function)()
    return batch


def _facts(info: Any) -> dict[str, str]:
    """Returns the TFDS metadata that `TfdsReader.check` compares, under the same keys."""
    import tensorflow_datasets as tfds

    found = dict(info.features.items())
    image, label = found.get("image"), found.get("label")
    images = f"{type(image).__name__} instead of tfds.features.Image"
    if isinstance(image, tfds.features.Image):  # `TfdsReader._read` can't parse others.
        images = f"{np.dtype(image.np_dtype)} of shape {image.shape}"
    names = getattr(label, "names", [])
    return {
        "the data set": info.full_name,
        "the file format": info.file_format.value,
        "the splits": ", ".join(name for name in ("train", "test") if name in info.splits),
        "images": images,
        "the number of classes": str(len(names)),
        **{f"class {number}": repr(name) for number, name in enumerate(names)},
    }


def _one_line(error: Exception) -> str:
    """Returns the first line of an error message, without TensorFlow's graph node names."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"\{\{.*?\}\} ?| \[Op:.*", "", lines[0])
