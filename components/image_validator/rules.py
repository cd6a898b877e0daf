"""The rules that decide whether the images of a split are anomalous. No I/O.

1. Repeats. At most `Limits.duplicates` images of a split repeat an earlier image of it, and at most
   `Limits.overlaps` are also in another split.
2. Sizes. The share of a split in all images is at least half and at most twice the reviewed one.
   The share of each class in a split equals the reviewed one, within _SHARE_TOLERANCE.
3. Content. The mean of each feature over the images of a class equals the reference, within
   _TOLERANCE. The same holds for the mean over all classes, where small changes add up.
4. Single images. No image is farther from the mean image of its class than the reference allows.

Tolerances of shares of classes and of means are in standard deviations of single images, so the
same constants suit every data set. _ERRORS standard errors are added for chance in few images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from components.example_gen.splits import SPLITS
from components.image_validator.evidence import ClassEvidence, Evidence, Located, worst_of
from components.image_validator.features import TEXTURE, Values
from components.image_validator.reference import GRID_SHAPE, ClassReference, Reference
from models.features import CLASS_NAMES

_TOLERANCE = 0.1
_SHARE_TOLERANCE = 0.05
_ERRORS = 5.0
_LEAST_IMAGES = 20
"""Smaller groups of images are not compared, because their means are not normally distributed."""

_SHARE_FACTOR = 2


class Finding(NamedTuple):
    """An anomaly.

    Attributes:
      split: name of the split.
      subject: what is anomalous, such as "class 3"; unique within the split.
      reason: the value and the bound, with the number of images.
      worst: images that show it, the worst first; may be empty.
    """

    split: str
    subject: str
    reason: str
    worst: tuple[Located, ...] = ()


def find_anomalies(evidence: Evidence, reference: Reference) -> list[Finding]:
    """Applies all rules to all splits."""
    return [
        finding
        for split in SPLITS
        for finding in (
            *_repeats(evidence, reference, split),
            *_sizes(evidence, reference, split),
            *_content(evidence, reference, split),
        )
    ]


def _repeats(evidence: Evidence, reference: Reference, split: str) -> Iterator[Finding]:
    """Reports images in two splits once, for the later split."""
    limits = reference.limits
    for pair in evidence.repeats:
        if pair.split != split or SPLITS.index(pair.other) > SPLITS.index(split):
            continue
        is_same = pair.other == split
        limit = limits.duplicates if is_same else limits.overlaps
        if pair.images > limit:
            yield Finding(
                split,
                "duplicates" if is_same else f"overlap with {pair.other}",
                f"{pair.images:,} of {evidence.images(split):,} images "
                + ("repeat an earlier one" if is_same else f"are also in {pair.other}")
                + f" ({_by_class(pair.labels)}); at most {limit:,} may",
                pair.worst,
            )


def _by_class(labels: dict[int, int]) -> str:
    return ", ".join(f"{count:,} of class {_name(label)}" for label, count in labels.items())


def _sizes(evidence: Evidence, reference: Reference, split: str) -> Iterator[Finding]:
    images = evidence.images(split)
    total = sum(evidence.images(name) for name in SPLITS)
    expected = reference.limits.shares[split]
    share = images / (total or 1)
    if not expected / _SHARE_FACTOR <= share <= expected * _SHARE_FACTOR:
        yield Finding(
            split,
            "size",
            f"{images:,} of {total:,} images are {share:.1%} of the data instead of about "
            f"{expected:.1%}",
        )
    measured = sum(of_class.images for of_class in reference.classes)
    counts = {one.label: one.images for one in evidence.classes if one.split == split}
    for of_class in reference.classes:
        share, expected = counts.get(of_class.label, 0) / (images or 1), of_class.images / measured
        bound = _bound(images, measured, _SHARE_TOLERANCE) * (expected * (1 - expected)) ** 0.5
        if images >= _LEAST_IMAGES and abs(share - expected) > bound:
            yield Finding(
                split,
                f"share of class {_name(of_class.label)}",
                f"{counts.get(of_class.label, 0):,} of {images:,} images are {share:.1%} instead "
                f"of {expected:.1%} ± {bound:.1%}",
            )


def _content(evidence: Evidence, reference: Reference, split: str) -> Iterator[Finding]:
    known = [
        (one, reference.classes[one.label])
        for one in evidence.classes
        if one.split == split and 0 <= one.label < len(reference.classes)
    ]
    findings = [finding for pair in known for finding in _class_content(*pair)]
    yield from findings
    images = sum(one.images for one, _ in known)
    if findings or images < _LEAST_IMAGES:
        return
    shift: Values = (
        np.sum([one.images * _shift(one, of_class) for one, of_class in known], axis=0) / images
    )
    bound = _bound(images, sum(of_class.images for of_class in reference.classes))
    worst = int(np.abs(shift).argmax())
    if abs(shift[worst]) > bound:
        yield Finding(
            split,
            "all classes",
            f"{_feature(worst)} of {images:,} images differs from the reference by "
            f"{shift[worst]:+.2f} standard deviations; at most {bound:.2f}",
            worst_of(image for one, _ in known for image in one.worst),
        )


def _class_content(one: ClassEvidence, of_class: ClassReference) -> Iterator[Finding]:
    shift, bound = _shift(one, of_class), _bound(one.images, of_class.images)
    worst = int(np.abs(shift).argmax())
    reasons = []
    if one.images >= _LEAST_IMAGES and abs(shift[worst]) > bound:
        mean, deviation = of_class.means()[worst], of_class.deviations()[worst]
        reasons.append(
            f"{_feature(worst)} of {one.images:,} images is {one.sums[worst] / one.images:.3g} "
            f"instead of {mean:.3g} ± {bound * deviation:.2g}"
        )
    if one.far:
        reasons.append(
            f"{one.far:,} of {one.images:,} images are too far from the mean image: "
            f"up to {one.largest:.3g}; at most {of_class.farthest():.3g}"
        )
    if reasons:
        yield Finding(one.split, f"class {_name(one.label)}", "; ".join(reasons), one.worst)


def _shift(one: ClassEvidence, of_class: ClassReference) -> Values:
    """Difference of the means from the reference, in standard deviations."""
    return (np.array(one.sums) / one.images - of_class.means()) / of_class.deviations()


def _bound(images: int, measured: int, tolerance: float = _TOLERANCE) -> float:
    return float(tolerance + _ERRORS * np.sqrt(1 / max(images, 1) + 1 / measured))


def _feature(index: int) -> str:
    rows, columns, channels = GRID_SHAPE
    cells = rows * columns * channels
    if index >= cells:
        return f"the mean {(*TEXTURE, 'distance from the mean image')[index - cells]}"
    row, column, _ = np.unravel_index(index, GRID_SHAPE)
    return f"the mean brightness in row {row + 1}, column {column + 1} of {rows} x {columns}"


def _name(label: int) -> str:
    return CLASS_NAMES[label] if 0 <= label < len(CLASS_NAMES) else str(label)
