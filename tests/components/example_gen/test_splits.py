from collections import Counter
from fractions import Fraction

import pytest

from components.example_gen.splits import (
    ClassPlan,
    Plan,
    Rule,
    Slice,
    SliceCount,
    apportion,
    make_plan,
    make_slices,
)

MNIST_TRAIN = {
    0: 5923, 1: 6742, 2: 5958, 3: 6131, 4: 5842, 5: 5421, 6: 5918, 7: 6265, 8: 5851, 9: 5949,
}  # fmt: skip
TENTH = {"train": Rule("train", {"validation": Fraction(1, 10)})}


def count_all(labels: dict[int, int], official: str = "train") -> list[SliceCount]:
    return [SliceCount(Slice(official, 0, sum(labels.values()), "0"), labels)]


def splits_of(plan: Plan, official: str = "train") -> Counter[tuple[str | None, int]]:
    return Counter(
        (class_plan.split_of(index), label)
        for (name, label), class_plan in plan.classes.items()
        if name == official
        for index in range(class_plan.kept)
    )


def totals(plan: Plan) -> Counter[str | None]:
    result: Counter[str | None] = Counter()
    for (split, _), n in splits_of(plan).items():
        result[split] += n
    return result


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ({"a": 50, "b": 50}, 10, {"a": 5, "b": 5}),
        ({"a": 5, "b": 3, "c": 2}, 5, {"a": 3, "b": 1, "c": 1}),
        ({"a": 1, "b": 1, "c": 1}, 1, {"a": 1, "b": 0, "c": 0}),
        ({"a": 7, "b": 0}, 7, {"a": 7, "b": 0}),
        ({"a": 7}, 0, {"a": 0}),
        ({}, 0, {}),
    ],
)
def test_apportion_uses_the_largest_remainder_method(
    sizes: dict[str, int], total: int, expected: dict[str, int]
) -> None:
    assert apportion(sizes, total) == expected


@pytest.mark.parametrize("total", [0, 1, 5999, 6000, 59_999, 60_000])
def test_apportioned_parts_sum_to_the_total_and_do_not_exceed_their_sizes(total: int) -> None:
    parts = apportion(MNIST_TRAIN, total)
    assert sum(parts.values()) == total
    for label, size in MNIST_TRAIN.items():
        assert parts[label] <= size
        assert abs(parts[label] - size * total / 60_000) < 1


def test_validation_receives_a_stratified_tenth_of_mnist() -> None:
    plan = make_plan(count_all(MNIST_TRAIN), TENTH, limit=0)
    assert totals(plan) == {"train": 54_000, "validation": 6_000}
    by_label = splits_of(plan)
    for label, n in MNIST_TRAIN.items():
        assert abs(by_label["validation", label] - n / 10) < 1


def test_bundled_classes_are_divided_350_50_100() -> None:
    rules = {"all": Rule("train", {"test": Fraction(1, 5), "validation": Fraction(1, 10)})}
    plan = make_plan(count_all(dict.fromkeys(range(10), 500), "all"), rules, limit=0)
    expected = {("train", d): 350 for d in range(10)} | {("test", d): 100 for d in range(10)}
    assert splits_of(plan, "all") == expected | {("validation", d): 50 for d in range(10)}


def test_a_split_is_spread_evenly_over_a_class() -> None:
    plan = ClassPlan(kept=100, quotas=(("validation", 10),), rest="train")
    chosen = [index for index in range(100) if plan.split_of(index) == "validation"]
    assert chosen == list(range(9, 100, 10))


def test_a_second_split_is_spread_over_the_remaining_examples() -> None:
    plan = ClassPlan(kept=10, quotas=(("test", 5), ("validation", 1)), rest="train")
    splits = [plan.split_of(index) for index in range(10)]
    assert splits[1::2] == ["test"] * 5
    assert splits[0::2] == ["train"] * 4 + ["validation"]


def test_examples_beyond_the_limit_are_dropped() -> None:
    plan = ClassPlan(kept=2, quotas=(), rest="train")
    assert [plan.split_of(index) for index in range(4)] == ["train", "train", None, None]


def test_a_limit_keeps_the_same_fraction_of_each_class_and_official_split() -> None:
    counts = count_all({0: 400, 1: 200}, "train") + count_all({0: 60, 1: 40}, "test")
    rules = TENTH | {"test": Rule("test")}
    plan = make_plan(counts, rules, limit=70)
    assert splits_of(plan, "train") == {
        ("train", 0): 36, ("validation", 0): 4, ("train", 1): 18, ("validation", 1): 2,
    }  # fmt: skip
    assert splits_of(plan, "test") == {("test", 0): 6, ("test", 1): 4}


def test_a_limit_above_the_data_keeps_all() -> None:
    counts = count_all({0: 20})
    assert make_plan(counts, TENTH, limit=21) == make_plan(counts, TENTH, limit=0)


def test_labels_out_of_range_are_treated_as_classes() -> None:
    plan = make_plan(count_all({-1: 1, 3: 18, 11: 1}), TENTH, limit=0)
    assert totals(plan) == {"train": 18, "validation": 2}
    assert {label for _, label in splits_of(plan)} == {-1, 3, 11}


def test_labels_in_earlier_slices_are_counted_in_any_order() -> None:
    first, second, third = make_slices({"train": 25}, 10)
    counts = [
        SliceCount(third, {0: 5}),
        SliceCount(first, {0: 4, 1: 6}),
        SliceCount(second, {1: 10}),
    ]
    plan = make_plan(counts, TENTH, limit=0)
    assert plan.first == {first: {}, second: {0: 4, 1: 6}, third: {0: 4, 1: 16}}


def test_a_slice_beyond_the_limit_keeps_nothing() -> None:
    slices = make_slices({"train": 30}, 10)
    counts = [SliceCount(part, {0: 5, 1: 5}) for part in slices]
    plan = make_plan(counts, TENTH, limit=20)
    assert [plan.keeps_any_of(part) for part in slices] == [True, True, False]


def test_the_error_of_an_unreadable_slice_becomes_the_plans_error() -> None:
    good, bad = make_slices({"train": 20}, 10)
    plan = make_plan([SliceCount(good, {0: 10}), SliceCount(bad, error="damaged")], TENTH, limit=0)
    assert plan == Plan(error="damaged")


def test_slices_cover_and_number_each_official_split() -> None:
    assert make_slices({"train": 25, "test": 10}, 10) == [
        Slice("train", 0, 10, "00000-of-00003"),
        Slice("train", 10, 20, "00001-of-00003"),
        Slice("train", 20, 25, "00002-of-00003"),
        Slice("test", 0, 10, "00000-of-00001"),
    ]


def test_a_plan_lists_the_splits_derived_from_an_official_split() -> None:
    counts = count_all({0: 10}, "train") + count_all({0: 10}, "test")
    plan = make_plan(counts, TENTH | {"test": Rule("test")}, limit=0)
    assert (plan.splits("train"), plan.splits("test")) == (["train", "validation"], ["test"])
