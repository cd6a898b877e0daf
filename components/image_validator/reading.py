"""Reads the images of a file of examples in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from components.common.errors import DataRejectedError
from models.features import IMAGE, IMAGE_BYTES, IMAGE_SHAPE, LABEL

_BATCH_SIZE = max(1, min(1000, 2**24 // IMAGE_BYTES))
"""Images per batch: at most 1,000, and at most 16 MiB."""

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""uint8 images of shape (n, *IMAGE_SHAPE) and int64 labels of shape (n,)."""


def read_batches(path: str) -> Iterator[Batch]:
    """Yields the examples of a gzipped TFRecord file in batches.

    Raises:
      DataRejectedError: if the file is damaged, or an image or a label is missing or has another
        size.
    """
    import tensorflow as tf

    from models.tf_data import without_autotuning

    spec = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.FixedLenFeature([], tf.int64),
    }
    records = tf.data.TFRecordDataset(path, compression_type="GZIP").batch(_BATCH_SIZE)
    try:
        for serialized in without_autotuning(records):
            features = tf.io.parse_example(serialized, spec)
            labels = features[LABEL].numpy()
            yield _to_images(path, features[IMAGE].numpy()), labels
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataRejectedError(
            f"{path} can't be read: {reason}; run the pipeline again"
        ) from error


def read_images(path: str, rows: Iterable[int]) -> dict[int, npt.NDArray[np.uint8]]:
    """Reads single images of a file: uint8 of shape IMAGE_SHAPE, by their positions."""
    wanted = set(rows)
    found: dict[int, npt.NDArray[np.uint8]] = {}
    start = 0
    for images, _ in read_batches(path):
        for row in wanted & set(range(start, start + len(images))):
            found[row] = images[row - start]
        start += len(images)
        if len(found) == len(wanted):
            break
    return found


def _to_images(path: str, values: Iterable[bytes]) -> npt.NDArray[np.uint8]:
    values = list(values)
    if received := {len(value) for value in values} - {IMAGE_BYTES}:
        raise DataRejectedError(
            f"{path}: images must have {IMAGE_BYTES} bytes, received {min(received)}"
        )
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), *IMAGE_SHAPE)
