"""Assigns examples to splits. The assignment is stratified, deterministic and has exact totals.

The labels of each official split are counted first. These counts determine, for each index within a
class, whether the example is kept and which split receives it. Slices of the data can therefore be
written independently, without holding all examples in memory.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

TEST_SPLIT = "test"
SPLITS = ("train", "validation", TEST_SPLIT)

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Rule:
    """Divides an official split: `shares` maps splits to fractions, `rest` gets the remainder."""

    rest: str
    shares: Mapping[str, Fraction] = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    """Examples `start` (inclusive) to `stop` (exclusive) of an official split.

    `shard` identifies the output files of this slice, for example "00000-of-00006".
    """

    official: str
    start: int
    stop: int
    shard: str


@dataclass(frozen=True)
class SliceCount:
    """Number of examples per label in a slice, or the error that occurred while reading it."""

    slice: Slice
    labels: Mapping[int, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class ClassPlan:
    """Assigns the examples of one class of one official split.

    Only the first `kept` examples are used. Each split in `quotas` receives the given number of
    examples, spread evenly over those left by the previous quotas. `rest` receives the remainder.
    """

    kept: int
    quotas: tuple[tuple[str, int], ...]
    rest: str

    def splits(self) -> list[str]:
        """Returns the splits that receive examples of this class."""
        return [split for split, _ in self.quotas] + [self.rest]

    def split_of(self, index: int) -> str | None:
        """Returns the split of the example at `index` (from 0) of the class; None if dropped."""
        remaining = self.kept
        if index >= remaining:
            return None
        for split, quota in self.quotas:
            taken = index * quota // remaining
            if (index + 1) * quota // remaining > taken:
                return split
            index -= taken
            remaining -= quota
        return self.rest


@dataclass(frozen=True)
class Plan:
    """Assigns every example: a `ClassPlan` for each official split and label.

    `first` contains, for each slice and label, the number of examples with that label in earlier
    slices. If a slice can't be read, only `error` is set.
    """

    classes: Mapping[tuple[str, int], ClassPlan] = field(default_factory=dict)
    first: Mapping[Slice, Mapping[int, int]] = field(default_factory=dict)
    error: str = ""

    def splits(self, official: str) -> list[str]:
        """Returns the splits that receive examples of an official split, sorted."""
        plans = (plan for (name, _), plan in self.classes.items() if name == official)
        return sorted({split for plan in plans for split in plan.splits()})

    def keeps_any_of(self, part: Slice) -> bool:
        """Whether the plan keeps any example of this slice or a later one."""
        return any(
            self.first[part].get(label, 0) < plan.kept
            for (official, label), plan in self.classes.items()
            if official == part.official
        )


def make_slices(sizes: Mapping[str, int], examples_per_slice: int) -> list[Slice]:
    """Divides each official split into slices of at most `examples_per_slice` examples."""
    slices = []
    for official, size in sizes.items():
        starts = range(0, size, examples_per_slice)
        for number, start in enumerate(starts):
            stop = min(start + examples_per_slice, size)
            slices.append(Slice(official, start, stop, f"{number:05d}-of-{len(starts):05d}"))
    return slices


def apportion(sizes: Mapping[Key, int], total: int) -> dict[Key, int]:
    """Divides `total` in proportion to `sizes` by the largest remainder (Hamilton) method.

    The parts sum to `total`. No part exceeds its size if `total` is at most the sum of the sizes.
    Ties between remainders go to the earlier key.
    """
    whole = max(sum(sizes.values()), 1)
    parts = {key: size * total // whole for key, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda key: -(sizes[key] * total % whole))
    for key in by_remainder[: total - sum(parts.values())]:
        parts[key] += 1
    return parts


def make_plan(counts: Iterable[SliceCount], rules: dict[str, Rule], limit: int) -> Plan:
    """Assigns every example to a split.

    Args:
      counts: label counts of all slices, in any order.
      rules: one rule per official split.
      limit: total number of examples to keep, as the same fraction of each class in each official
        split; 0 keeps all.
    """
    ordered = sorted(counts, key=lambda count: (count.slice.official, count.slice.start))
    errors = [count.error for count in ordered if count.error]
    if errors:
        return Plan(error=errors[0])
    first, totals = _accumulate(ordered)
    sizes = {(official, label): n for official in totals for label, n in totals[official].items()}
    total = sum(sizes.values())
    kept = apportion(sizes, min(limit, total) if limit else total)
    classes: dict[tuple[str, int], ClassPlan] = {}
    for official, rule in rules.items():
        of_split = {key: n for key, n in kept.items() if key[0] == official}
        quotas = {
            split: apportion(of_split, round(sum(of_split.values()) * share))
            for split, share in rule.shares.items()
        }
        for key, n in of_split.items():
            class_quotas = tuple((split, quota[key]) for split, quota in quotas.items())
            classes[key] = ClassPlan(n, class_quotas, rule.rest)
    return Plan(classes, first)


def _accumulate(
    counts: Sequence[SliceCount],
) -> tuple[dict[Slice, dict[int, int]], dict[str, dict[int, int]]]:
    first: dict[Slice, dict[int, int]] = {}
    totals: dict[str, Counter[int]] = {}
    for count in counts:
        so_far = totals.setdefault(count.slice.official, Counter())
        first[count.slice] = dict(so_far)
        so_far.update(count.labels)
    return first, {official: dict(sorted(labels.items())) for official, labels in totals.items()}
