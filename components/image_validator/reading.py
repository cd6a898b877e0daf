"""Reads the images of a file of examples in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from components.common.errors import DataRejectedError
from models.features import IMAGE_BYTES

_MOST_EXAMPLES = 1000

Images = npt.NDArray[np.uint8]
"""uint8 of shape (n, *IMAGE_SHAPE)."""


def read_batches(path: str) -> Iterator[tuple[Images, npt.NDArray[np.int64]]]:
    """Yields the images and int64 labels of shape (n,) of a gzipped TFRecord file in batches.

    Raises:
      DataRejectedError: if the file is damaged, or an image or a label is missing or has another
        size.
    """
    import tensorflow as tf

    from components.common import example_batches

    try:
        for batch in example_batches.read_batches([path], most=_MOST_EXAMPLES):
            yield batch.images, batch.labels
    except example_batches.ImageSizeError as error:
        raise DataRejectedError(
            f"{path}: images must have {IMAGE_BYTES} bytes, received {error.received}"
        ) from error
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataRejectedError(
            f"{path} can't be read: {reason}; run the pipeline again"
        ) from error


def read_images(path: str, rows: Iterable[int]) -> dict[int, Images]:
    """Reads single images of a file: uint8 of shape IMAGE_SHAPE, by their positions."""
    wanted = set(rows)
    found: dict[int, Images] = {}
    start = 0
    for images, _ in read_batches(path):
        for row in wanted & set(range(start, start + len(images))):
            found[row] = images[row - start]
        start += len(images)
        if len(found) == len(wanted):
            break
    return found
