"""What a scan of the examples found, before any rule is applied to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from components.example_gen.splits import SPLITS
from components.image_validator.features import describe, distance
from components.image_validator.reference import CELLS, Reference
from models.validation import Frozen

WORST = 10
"""Number of images that a finding shows."""


class Located(Frozen):
    """An image in the examples. `score` says how much it deviates."""

    score: float
    path: str
    row: int


class ClassEvidence(Frozen):
    """The images of one class in one split.

    Attributes:
      split: name of the split.
      label: label of the class.
      images: number of images.
      sums: sum of each feature, and of the distance if there is a reference.
      squares: sum of their squares.
      far: number of images farther from the mean image than the reference allows.
      largest: the largest distance.
      worst: the images with the largest distances, in descending order.
    """

    split: str
    label: int
    images: int
    sums: tuple[float, ...]
    squares: tuple[float, ...]
    far: int = 0
    largest: float = 0
    worst: tuple[Located, ...] = ()


class Repeats(Frozen):
    """Images of `split` that are also in `other`.

    Attributes:
      split: name of the split.
      other: name of another split, or of the same split, for repetitions of an earlier image.
      labels: number of images, by label.
      worst: the images with most copies, in descending order.
    """

    split: str
    other: str
    labels: dict[int, int]
    worst: tuple[Located, ...]

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.labels.values())


class Evidence(Frozen):
    """Result of a scan.

    Attributes:
      classes: one entry for each class of each split, ordered.
      repeats: one entry for each pair of splits with identical images, ordered.
      error: why a file can't be read; empty if all were.
    """

    classes: tuple[ClassEvidence, ...] = ()
    repeats: tuple[Repeats, ...] = ()
    error: str = ""

    def images(self, split: str) -> int:
        """Number of images of a split."""
        return sum(one.images for one in self.classes if one.split == split)


def describe_batch(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    file: tuple[str, str],
    start: int,
    reference: Reference | None,
) -> Evidence:
    """Describes some images of a file.

    Args:
      images: uint8 of shape (n, *IMAGE_SHAPE).
      labels: int64 of shape (n,).
      file: split and path.
      start: position of the first image in the file.
      reference: adds the distance from the mean image to the features; None omits it.
    """
    split, path = file
    features = describe(images)
    classes = []
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        values, far, largest = features[rows], 0, 0.0
        worst: tuple[Located, ...] = ()
        if reference is not None and 0 <= label < len(reference.classes):
            of_class = reference.classes[label]
            distances = distance(
                values[:, :CELLS], of_class.means()[:CELLS], of_class.deviations()[:CELLS]
            )
            values = np.column_stack([values, distances])
            largest, far = float(distances.max()), int((distances > of_class.farthest()).sum())
            worst = tuple(
                Located(score=float(distances[index]), path=path, row=start + int(rows[index]))
                for index in np.argsort(-distances, kind="stable")[:WORST]
            )
        classes.append(
            ClassEvidence(
                split=split,
                label=label,
                images=len(rows),
                sums=tuple(values.sum(axis=0).tolist()),
                squares=tuple((values**2).sum(axis=0).tolist()),
                far=far,
                largest=largest,
                worst=worst,
            )
        )
    return Evidence(classes=tuple(classes))


def merge(parts: Iterable[Evidence]) -> Evidence:
    """Merges the evidence of parts of the examples, given in any order."""
    by_class: dict[tuple[int, int], list[ClassEvidence]] = {}
    by_pair: dict[tuple[int, int], list[Repeats]] = {}
    for part in parts:
        if part.error:
            return Evidence(error=part.error)
        for one in part.classes:
            by_class.setdefault((SPLITS.index(one.split), one.label), []).append(one)
        for pair in part.repeats:
            key = SPLITS.index(pair.split), SPLITS.index(pair.other)
            by_pair.setdefault(key, []).append(pair)
    return Evidence(
        classes=tuple(_merge_class(group) for _, group in sorted(by_class.items())),
        repeats=tuple(_merge_repeats(group) for _, group in sorted(by_pair.items())),
    )


def worst_of(candidates: Iterable[Located]) -> tuple[Located, ...]:
    """Returns the images with the highest scores. Ties go to the earlier image."""
    ordered = sorted(candidates, key=lambda image: (-image.score, image.path, image.row))
    return tuple(ordered[:WORST])


def _merge_class(parts: list[ClassEvidence]) -> ClassEvidence:
    return ClassEvidence(
        split=parts[0].split,
        label=parts[0].label,
        images=sum(part.images for part in parts),
        sums=tuple(np.sum([part.sums for part in parts], axis=0).tolist()),
        squares=tuple(np.sum([part.squares for part in parts], axis=0).tolist()),
        far=sum(part.far for part in parts),
        largest=max(part.largest for part in parts),
        worst=worst_of(image for part in parts for image in part.worst),
    )


def _merge_repeats(parts: list[Repeats]) -> Repeats:
    labels: Counter[int] = Counter()
    for part in parts:
        labels.update(part.labels)
    return Repeats(
        split=parts[0].split,
        other=parts[0].other,
        labels=dict(sorted(labels.items())),
        worst=worst_of(image for part in parts for image in part.worst),
    )
