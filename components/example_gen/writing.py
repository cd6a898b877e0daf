"""Writes slices to files of serialized tf.Examples and combines their summaries."""

import contextlib
import hashlib
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import tensorflow as tf

from components.common.errors import DataRejectedError
from components.example_gen.reading import Reader
from components.example_gen.splits import SPLITS, Plan, Slice, SliceCount
from models import features
from models.definition import DATASET
from models.image_statistics import describe_images

# Takes a third of the default level's time; the files are 10% larger.
_GZIP = tf.io.TFRecordOptions("GZIP", compression_level=1)


@dataclass(frozen=True)
class SliceSummary:
    """Result of writing a slice, or the error that occurred while reading it.

    `labels` counts the examples per split and label. `digest` is the SHA-256 (hex) of the split,
    label and pixels of each example, in order.
    """

    slice: Slice
    labels: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    digest: str = ""
    error: str = ""


@dataclass(frozen=True)
class Summary:
    """Combined result of all slices, or the first error."""

    labels: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    fingerprint: str = ""
    error: str = ""


class _Assigned(NamedTuple):
    split: str
    label: int
    image: bytes
    scalars: Mapping[str, float]


def count_labels(part: Slice, reader: Reader) -> SliceCount:
    """Counts the labels of a slice.

    Returns data errors instead of raising them, because Beam would wrap an exception from a worker.
    """
    labels: Counter[int] = Counter()
    try:
        for batch in reader.labels(part):
            labels.update(batch.tolist())
    except DataRejectedError as error:
        return SliceCount(part, error=str(error))
    return SliceCount(part, labels)


def write_slice(part: Slice, reader: Reader, uris: dict[str, str], plan: Plan) -> SliceSummary:
    """Writes the examples of a slice to one file per split, as planned.

    Returns data errors instead of raising them, like `count_labels`.
    """
    if plan.error:
        return SliceSummary(part, error=plan.error)
    labels: dict[str, Counter[int]] = {split: Counter() for split in plan.splits(part.official)}
    digest = hashlib.sha256()
    serializer = _Serializer()
    try:
        with contextlib.ExitStack() as stack:
            writers = {
                split: stack.enter_context(_open_shard(uris[split], part.shard)) for split in labels
            }
            for example in _assign(part, reader, plan):
                writers[example.split].write(serializer.serialize(example))
                labels[example.split][example.label] += 1
                digest.update(f"{example.split} {example.label} ".encode() + example.image)
    except DataRejectedError as error:
        return SliceSummary(part, error=str(error))
    return SliceSummary(part, labels, digest.hexdigest())


def combine(summaries: Iterable[SliceSummary]) -> Summary:
    """Combines the summaries of all slices, given in any order."""
    ordered = sorted(summaries, key=lambda summary: (summary.slice.official, summary.slice.start))
    labels: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
    digest = hashlib.sha256()
    for summary in ordered:
        if summary.error:
            return Summary(error=summary.error)
        for split, counts in summary.labels.items():
            labels[split].update(counts)
        digest.update(summary.digest.encode())
    by_label = {split: dict(sorted(counts.items())) for split, counts in labels.items()}
    return Summary(by_label, digest.hexdigest())


def _assign(part: Slice, reader: Reader, plan: Plan) -> Iterator[_Assigned]:
    if not plan.keeps_any_of(part):
        return
    seen = Counter(plan.first[part])
    for images, labels in reader.batches(part):
        scalars = describe_images(images)
        for row, label in enumerate(labels.tolist()):
            split = plan.classes[part.official, label].split_of(seen[label])
            seen[label] += 1
            if split is not None:
                values = {name: float(column[row]) for name, column in scalars.items()}
                yield _Assigned(split, label, images[row].tobytes(), values)


class _Serializer:
    """Serializes tf.Examples in one message, which takes half the time of creating a new one."""

    def __init__(self) -> None:
        self._example = tf.train.Example()
        columns = self._example.features.feature
        self._image = columns[features.IMAGE].bytes_list.value
        self._label = columns[features.LABEL].int64_list.value
        self._scalars: dict[str, Any] = {
            name: columns[name].float_list.value for name in DATASET.image_statistics
        }
        self._image.append(b"")
        for values in (self._label, *self._scalars.values()):
            values.append(0)

    def serialize(self, assigned: _Assigned) -> bytes:
        self._image[0] = assigned.image
        self._label[0] = assigned.label
        for name, value in assigned.scalars.items():
            self._scalars[name][0] = value
        return self._example.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _open_shard(uri: str, shard: str) -> Iterator[tf.io.TFRecordWriter]:
    """Opens a file that is renamed to `data_tfrecord-<shard>.gz` once it is complete.

    This makes it safe for Beam to retry a bundle or run it twice. The partial file is kept outside
    the split's directory, because TFX reads all files there as examples.
    """
    directory, split = os.path.split(uri)
    partial = os.path.join(directory, f"partial-{split}-{shard}-{uuid.uuid4().hex}")
    tf.io.gfile.makedirs(uri)
    try:
        with tf.io.TFRecordWriter(partial, _GZIP) as writer:
            yield writer
        tf.io.gfile.rename(partial, os.path.join(uri, f"data_tfrecord-{shard}.gz"), overwrite=True)
    finally:
        if tf.io.gfile.exists(partial):
            tf.io.gfile.remove(partial)
