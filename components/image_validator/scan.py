"""Scans the examples with Beam: describes each class of each split and finds identical images.

Memory does not grow with the data. A worker reads one file in batches, and sends 16 bytes for each
image to one of _BUCKETS groups, where equal images meet.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from tfx.dsl.io import fileio

from components.common.errors import DataRejectedError
from components.example_gen.splits import SPLITS
from components.image_validator.evidence import (
    Evidence,
    Located,
    Repeats,
    describe_batch,
    merge,
    worst_of,
)
from components.image_validator.reading import read_batches
from components.image_validator.reference import Reference

_DIGESTS = "digests"
_DIGEST_BYTES = 16
_BUCKETS = 256


@dataclass(frozen=True)
class _Digests:
    """Digests of some images of one file.

    Attributes:
      split: index of the split in SPLITS.
      path: the file.
      rows: positions in the file, int64 of shape (n,).
      labels: int64 of shape (n,).
      digests: uint64 of shape (n, 2).
    """

    split: int
    path: str
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint64]


def scan(
    make_pipeline: Callable[[], beam.Pipeline],
    uris: dict[str, str],
    output: Path,
    reference: Reference | None,
) -> Evidence:
    """Scans all examples.

    Args:
      make_pipeline: creates a Beam pipeline.
      uris: directories of gzipped TFRecord files, by split.
      output: file for the result, which a worker writes.
      reference: adds the distance from the mean image to the features; None omits it.

    Raises:
      DataRejectedError: if a file can't be read or has an image of another size.
    """
    files = [
        (split, f"{uri}/{name}") for split, uri in uris.items() for name in fileio.listdir(uri)
    ]
    with make_pipeline() as pipeline:
        described = (
            pipeline
            | beam.Create(sorted(files))
            | beam.Reshuffle()
            | "Scan" >> beam.FlatMap(_scan_file, reference).with_outputs(_DIGESTS, main="classes")
        )
        repeats = (
            described[_DIGESTS]
            | "Bucket" >> beam.GroupByKey()
            | "FindRepeats" >> beam.MapTuple(lambda _, parts: _find_repeats(list(parts)))
        )
        _ = (
            (described["classes"], repeats)
            | beam.Flatten()
            | beam.combiners.ToList()
            | "Merge" >> beam.Map(merge)
            | "Save" >> beam.Map(_save, str(output))
        )
    evidence = Evidence.model_validate_json(output.read_bytes())
    if evidence.error:
        raise DataRejectedError(evidence.error)
    return evidence


def _save(evidence: Evidence, path: str) -> None:
    Path(path).write_text(evidence.to_json(), encoding="utf-8")


def _scan_file(file: tuple[str, str], reference: Reference | None) -> Iterator[Any]:
    """Returns data errors instead of raising them, because Beam would wrap the exception."""
    split, path = file
    classes: list[Evidence] = []
    digests: list[bytes] = []
    labels: list[npt.NDArray[np.int64]] = []
    try:
        for images, of_batch in read_batches(path):
            start = len(digests)
            digests += [hashlib.blake2b(i, digest_size=_DIGEST_BYTES).digest() for i in images]
            labels.append(of_batch)
            classes.append(describe_batch(images, of_batch, file, start, reference))
    except DataRejectedError as error:
        yield Evidence(error=str(error))
        return
    yield merge(classes)
    if digests:
        yield from _bucket(SPLITS.index(split), path, np.concatenate(labels), digests)


def _bucket(
    split: int, path: str, labels: npt.NDArray[np.int64], digests: Sequence[bytes]
) -> Iterator[beam.pvalue.TaggedOutput]:
    """Groups the images of a file by the first byte of their digests."""
    numbers = np.frombuffer(b"".join(digests), np.uint64).reshape(len(digests), -1)
    buckets = numbers[:, 0] % _BUCKETS
    order = np.argsort(buckets, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(buckets[order])) + 1):
        part = _Digests(split, path, rows, labels[rows], numbers[rows])
        yield beam.pvalue.TaggedOutput(_DIGESTS, (int(buckets[rows[0]]), part))


def _find_repeats(parts: Sequence[_Digests]) -> Evidence:
    """Finds identical images within a bucket."""
    parts = sorted(parts, key=lambda part: (part.split, part.path))
    digests = np.concatenate([part.digests for part in parts])
    _, image, copies = np.unique(digests, axis=0, return_inverse=True, return_counts=True)
    if len(copies) == len(digests):
        return Evidence()
    image = image.reshape(-1)  # NumPy 2.0 returns another shape.
    split = np.concatenate([np.full(len(part.rows), part.split) for part in parts])
    _, first = np.unique(image * len(SPLITS) + split, return_index=True)
    is_repeat = np.ones(len(image), bool)
    is_repeat[first] = False
    found = {}
    for own, other in itertools.product(range(len(SPLITS)), repeat=2):
        in_other = is_repeat if own == other else np.isin(image, image[split == other])
        found[own, other] = np.flatnonzero((split == own) & in_other)
    return Evidence(
        repeats=tuple(
            _describe_repeats(own, other, indices, parts, copies[image])
            for (own, other), indices in found.items()
            if len(indices)
        )
    )


def _describe_repeats(
    own: int,
    other: int,
    indices: npt.NDArray[np.int64],
    parts: Sequence[_Digests],
    copies: npt.NDArray[np.int64],
) -> Repeats:
    """Describes the images at some indices of the concatenated parts."""
    paths = np.repeat([part.path for part in parts], [len(part.rows) for part in parts])
    rows, labels = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "labels")
    )
    return Repeats(
        split=SPLITS[own],
        other=SPLITS[other],
        labels=Counter(labels[indices].tolist()),
        worst=worst_of(
            Located(score=int(copies[index]), path=str(paths[index]), row=int(rows[index]))
            for index in indices
        ),
    )
