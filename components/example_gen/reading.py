"""Reads labeled images, slice by slice, from TFDS or from the bundled sample."""

import functools
import importlib
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
from models.definition import DATASET

BATCH_SIZE = min(1000, max(1, 2**24 // features.IMAGE_BYTES))
"""Images in memory at a time, 16 MiB at most."""

DOWNLOAD_TIMEOUT = 900.0
"""Seconds that TFDS has to download and prepare the data; TFDS itself never times out."""

Batch = tuple[np.ndarray, np.ndarray]
"""uint8 images of shape (n, height, width, channels) and int64 labels of shape (n,)."""


def prepare_tfds(data_dir: str, timeout: float = DOWNLOAD_TIMEOUT) -> None:
    """Has TFDS download and prepare the data, unless they are prepared already.

    Raises:
      SourceUnavailableError: TFDS does not know the data set or its version, or could not prepare
        it within `timeout` seconds.
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
    """A data set as TFDS prepared it, with its splits train and test."""

    directory: str

    def rules(self) -> dict[str, Rule]:
        """The definition's share of the official training images is for validation."""
        shares = {"validation": DATASET.validation_share}
        return {"train": Rule("train", shares), "test": Rule("test")}

    def check(self) -> None:
        """Compares what TFDS says of the data with the data definition.

        Raises:
          DataRejectedError: they differ, or TFDS can't read the directory.
        """
        try:
            received = _facts(self._builder().info)
        except Exception as error:
            raise DataRejectedError(
                f"{self.directory} can't be read as a TFDS data set: {_one_line(error)}; prepare "
                "it anew"
            ) from error
        expected = {
            "the data set": DATASET.tfds_id,
            "the splits": "train, test",
            "images": f"uint8 of shape {features.IMAGE_SHAPE}",
            "the number of classes": str(features.NUM_CLASSES),
            **{f"class {label}": repr(name) for label, name in enumerate(features.CLASS_NAMES)},
        }
        for what, value in expected.items():
            if value != received.get(what):
                raise DataRejectedError(
                    f"{self.directory}: {what} must be {value}, as models/definition.py says, "
                    f"received {received.get(what)}; correct the definition, or name other data"
                )

    def sizes(self) -> dict[str, int]:
        """Examples in each official split, from the metadata."""
        splits = self._builder().info.splits
        return {official: splits[official].num_examples for official in self.rules()}

    def labels(self, part: Slice) -> Iterator[np.ndarray]:
        """Labels of a slice, int64 of shape (n,) in each batch, without decoding the images."""
        for example in self._examples(part, decode_images=False):
            yield example["label"]

    def batches(self, part: Slice) -> Iterator[Batch]:
        """Examples of a slice, in the order of `labels`."""
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
            decoders=tfds.decode.PartialDecoding(
                {"image": True, "label": True},
                decoders=None if decode_images else {"image": tfds.decode.SkipDecoding()},
            ),
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


@dataclass(frozen=True)
class BundledReader:
    """The sample that a package ships, loaded by the function at this dotted path."""

    load: str

    def rules(self) -> dict[str, Rule]:
        """Of each ten images, seven are to train, one to validate, two to test."""
        shares = {"test": Fraction(1, 5), "validation": Fraction(1, 10)}
        return {"all": Rule("train", shares)}

    def check(self) -> None:
        """Compares the sample with the data definition.

        Raises:
          DataRejectedError: they differ, or the function does not exist.
        """
        try:
            images, labels = _load(self.load)
        except (ImportError, AttributeError) as error:
            raise DataRejectedError(
                f"bundled_sample: can't load {self.load}: {_one_line(error)}; correct "
                "models/definition.py"
            ) from error
        expected = f"uint8 of shape {(len(images), *features.IMAGE_SHAPE)}, labels int64"
        received = f"{images.dtype} of shape {images.shape}, labels {labels.dtype}"
        if expected != received or len(images) != len(labels):
            raise DataRejectedError(
                f"{self.load}: images must be {expected} and as many, as models/definition.py "
                f"says, received {received} and {len(labels)}"
            )

    def sizes(self) -> dict[str, int]:
        """One official split, because a sample has no others."""
        return {"all": len(_load(self.load)[1])}

    def labels(self, part: Slice) -> Iterator[np.ndarray]:
        """One batch: the sample fits in memory."""
        yield _load(self.load)[1][part.start : part.stop]

    def batches(self, part: Slice) -> Iterator[Batch]:
        """One batch: the sample fits in memory."""
        images, labels = _load(self.load)
        yield images[part.start : part.stop], labels[part.start : part.stop]


Reader = TfdsReader | BundledReader
"""A source of labeled images in official splits. Can be pickled.

`rules` says how each official split is divided, `sizes` how many examples it has. `labels` and
`batches` read a slice in the same order.
"""


def make_reader(source: str, data_dir: str) -> Reader:
    """Opens a source; downloads the data if TFDS hasn't yet.

    Raises:
      SourceUnavailableError: the data are not prepared and can't be downloaded, or no sample is
        bundled.
      DataRejectedError: the data differ from the data definition.
      ValueError: an unknown source, which a person may have typed for a run on Kubeflow.
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
    """What TFDS says of a data set, in the words in which `TfdsReader.check` expects it."""
    found = dict(info.features.items())
    image, label = found.get("image"), found.get("label")
    names = getattr(label, "names", [])
    return {
        "the data set": info.full_name,
        "the splits": ", ".join(name for name in ("train", "test") if name in info.splits),
        "images": f"{np.dtype(image.np_dtype)} of shape {image.shape}" if image else "none",
        "the number of classes": str(len(names)),
        **{f"class {number}": repr(name) for number, name in enumerate(names)},
    }


def _one_line(error: Exception) -> str:
    """The first line of an error's message, without the graph's nodes that TensorFlow names."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"\{\{.*?\}\} ?| \[Op:.*", "", lines[0])
