"""Each rule passes, fails, and decides exactly at its bound."""

from __future__ import annotations

import numpy as np
import pytest
from support.references import uniform_reference

from components.example_gen.splits import SPLITS
from components.image_validator.evidence import ClassEvidence, Evidence, Located, Repeats
from components.image_validator.reference import (
    CELLS,
    Limits,
    Reference,
    Spread,
)
from components.image_validator.rules import Finding, find_anomalies
from models.features import CLASS_NAMES, NUM_CLASSES

SIZES = {"train": 700, "validation": 100, "test": 200}
MEASURED = 1000
DISTANCE = CELLS + 2
WORST = (Located(score=3, path="a.gz", row=7),)


def reference(duplicates: int = 0, overlaps: int = 0) -> Reference:
    limits = Limits(
        duplicates=duplicates,
        overlaps=overlaps,
        shares={split: size / 1000 for split, size in SIZES.items()},
    )
    return uniform_reference(
        limits, Spread(mean=0.5, deviation=0.1), images=MEASURED, largest_distance=2, deviation=0.1
    )


def of_class(
    split: str, label: int, images: int, shift: float = 0, feature: int = 0
) -> ClassEvidence:
    """Images whose mean of one feature is off by `shift` standard deviations."""
    given = reference().classes[0]
    means = given.means()
    means[feature] += shift * given.deviations()[feature]
    return ClassEvidence(
        split=split,
        label=label,
        images=images,
        sums=tuple((means * images).tolist()),
        squares=(0.0,) * len(means),
        worst=WORST,
    )


def evidence(
    *changed: ClassEvidence, repeats: tuple[Repeats, ...] = (), scale: int = 1
) -> Evidence:
    """Splits that match the reference, except for some classes."""
    classes = {
        (split, label): of_class(split, label, scale * size)
        for split, size in SIZES.items()
        for label in range(NUM_CLASSES)
    }
    classes |= {(one.split, one.label): one for one in changed}
    return Evidence(classes=tuple(classes.values()), repeats=repeats)


def found(evidence: Evidence, **limits: int) -> list[tuple[str, str]]:
    return [(one.split, one.subject) for one in find_anomalies(evidence, reference(**limits))]


def only(evidence: Evidence) -> Finding:
    (finding,) = find_anomalies(evidence, reference())
    return finding


def test_data_like_the_reference_has_no_anomalies() -> None:
    assert found(evidence()) == []
    assert found(evidence(scale=50)) == []


@pytest.mark.parametrize("split", SPLITS)
def test_images_that_repeat_an_earlier_one_are_limited(split: str) -> None:
    pair = Repeats(split=split, other=split, labels={0: 3, 1: 4}, worst=WORST)
    assert found(evidence(repeats=(pair,)), duplicates=7) == []
    assert found(evidence(repeats=(pair,)), duplicates=6) == [(split, "duplicates")]
    finding = only(evidence(repeats=(pair,)))
    total = NUM_CLASSES * SIZES[split]
    assert finding.reason == (
        f"7 of {total:,} images repeat an earlier one (3 of class {CLASS_NAMES[0]}, "
        f"4 of class {CLASS_NAMES[1]}); at most 0 may"
    )
    assert finding.worst == WORST


def test_images_in_two_splits_are_reported_once_for_the_later_split() -> None:
    pairs = tuple(
        Repeats(split=split, other=other, labels={1: 5}, worst=WORST)
        for split, other in (("train", "test"), ("test", "train"))
    )
    assert found(evidence(repeats=pairs), overlaps=5) == []
    finding = only(evidence(repeats=pairs))
    assert (finding.split, finding.subject) == ("test", "overlap with train")
    assert finding.reason.startswith(f"5 of {200 * NUM_CLASSES:,} images are also in train (5 of")


@pytest.mark.parametrize(("scale", "is_anomaly"), [(2, False), (2.001, True)])
def test_a_split_has_at_most_twice_its_reviewed_share(scale: float, is_anomaly: bool) -> None:
    others = 800 * NUM_CLASSES
    size = round(scale * 0.2 / (1 - scale * 0.2) * others)
    sizes = [size // NUM_CLASSES + (n < size % NUM_CLASSES) for n in range(NUM_CLASSES)]
    changed = [of_class("test", label, n) for label, n in enumerate(sizes)]
    assert (("test", "size") in found(evidence(*changed))) == is_anomaly


def test_exchanged_splits_are_found_by_their_sizes() -> None:
    exchanged = [
        of_class(split, label, SIZES[other])
        for split, other in (("train", "test"), ("test", "train"))
        for label in range(NUM_CLASSES)
    ]
    finding, *_ = find_anomalies(evidence(*exchanged), reference())
    assert (finding.split, finding.subject) == ("train", "size")
    assert "are 20.0% of the data instead of about 70.0%" in finding.reason


def test_a_class_with_too_few_images_of_a_split_is_found() -> None:
    finding, *_ = find_anomalies(evidence(of_class("train", 1, 350)), reference())
    assert (finding.split, finding.subject) == ("train", f"share of class {CLASS_NAMES[1]}")
    assert finding.reason.startswith("350 of ")
    assert found(evidence(of_class("train", 1, 650))) == []


@pytest.mark.parametrize("feature", [0, CELLS - 1, CELLS, CELLS + 1, DISTANCE])
@pytest.mark.parametrize("sign", [-1, 1])
def test_means_of_a_class_may_differ_by_the_tolerance_and_chance(feature: int, sign: int) -> None:
    bound = 0.1 + 5 * (1 / 200 + 1 / MEASURED) ** 0.5
    inside = of_class("test", 1, 200, sign * (bound - 1e-6), feature)
    outside = of_class("test", 1, 200, sign * (bound + 1e-6), feature)
    assert ("test", f"class {CLASS_NAMES[1]}") not in found(evidence(inside))
    assert found(evidence(outside)) == [("test", f"class {CLASS_NAMES[1]}")]


def test_the_reason_names_the_feature_and_the_number_of_images() -> None:
    finding = only(evidence(of_class("test", 1, 200, 2, feature=CELLS)))
    assert finding.reason.startswith("the mean gradient of 200 images is 0.7 instead of 0.5 ± 0.0")
    assert finding.worst == WORST
    assert (
        "distance from the mean image of 200"
        in only(evidence(of_class("test", 1, 200, 2, DISTANCE))).reason
    )
    assert "brightness in row 1, column 1 of " in only(evidence(of_class("test", 1, 200, 2))).reason


def test_a_small_shift_of_all_classes_adds_up() -> None:
    shift = 0.1 + 5 * (1 / (200 * NUM_CLASSES) + 1 / (MEASURED * NUM_CLASSES)) ** 0.5
    for factor, expected in ((0.999, []), (1.001, [("test", "all classes")])):
        changed = [of_class("test", n, 200, factor * shift) for n in range(NUM_CLASSES)]
        assert found(evidence(*changed)) == expected


def test_a_few_images_are_not_compared() -> None:
    def few(images: int) -> Evidence:
        classes = [of_class("test", n, images, 9.0 if n == 0 else 0) for n in range(NUM_CLASSES)]
        return evidence(*classes, *(of_class("train", n, 2 * images) for n in range(NUM_CLASSES)))

    name = ("test", f"class {CLASS_NAMES[0]}")
    assert name not in found(few(19))
    assert name in found(few(20))


def test_a_single_image_that_is_too_far_is_found() -> None:
    far = of_class("train", 0, 700).model_copy(update={"far": 1, "largest": 3.5})
    finding = only(evidence(far))
    assert finding.subject == f"class {CLASS_NAMES[0]}"
    expected = "1 of 700 images are too far from the mean image: up to 3.5; at most 3"
    assert finding.reason == expected


def test_labels_without_a_class_are_left_to_the_schema() -> None:
    unknown = of_class("train", NUM_CLASSES, 3).model_copy(
        update={"sums": tuple(np.zeros(DISTANCE).tolist())}
    )
    assert found(evidence(unknown)) == []
