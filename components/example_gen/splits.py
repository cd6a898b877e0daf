"""Which example goes to which split: pure, exact, and decided without holding the data.

The examples of an official split are counted first (labels only). From these counts follows, for
each example's place among those of its class, whether it is kept and where it goes. So slices of
the data can be written independently, and the result is stratified, the same in each run, and has
exact totals.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

SPLITS = ("train", "validation", "test")

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Rule:
    """How an official split is divided: a share of it to some splits, the remainder to `rest`."""

    rest: str
    shares: Mapping[str, Fraction] = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    """Examples number `start` up to, not including, `stop` of an official split.

    `shard` names the files made of them, such as "00000-of-00006".
    """

    official: str
    start: int
    stop: int
    shard: str


@dataclass(frozen=True)
class SliceCount:
    """How many examples of each label a slice holds, or what is wrong with it."""

    slice: Slice
    labels: Mapping[int, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class ClassPlan:
    """Where the examples of one class of one official split go.

    The first `kept` of them are kept. Each split of `quotas` gets so many of them, evenly spread
    over what the splits before it left; `rest` gets the others.
    """

    kept: int
    quotas: tuple[tuple[str, int], ...]
    rest: str

    def splits(self) -> list[str]:
        """Names the splits to which the examples of the class go."""
        return [split for split, _ in self.quotas] + [self.rest]

    def split_of(self, index: int) -> str | None:
        """Names the split of example number `index` (from 0) of the class; None: not kept."""
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
    """Where every example goes: a `ClassPlan` for each official split and label.

    `first` has, for each slice and label, how many examples of that label come before the slice.
    If a slice can't be read, there is only the error.
    """

    classes: Mapping[tuple[str, int], ClassPlan] = field(default_factory=dict)
    first: Mapping[Slice, Mapping[int, int]] = field(default_factory=dict)
    error: str = ""

    def splits(self, official: str) -> list[str]:
        """Names the splits to which examples of an official split go."""
        plans = (plan for (name, _), plan in self.classes.items() if name == official)
        return sorted({split for plan in plans for split in plan.splits()})

    def keeps_any_of(self, part: Slice) -> bool:
        """Whether any example of this slice, or of one after it, is kept."""
        return any(
            self.first[part].get(label, 0) < plan.kept
            for (official, label), plan in self.classes.items()
            if official == part.official
        )


def make_slices(sizes: Mapping[str, int], examples_per_slice: int) -> list[Slice]:
    """Cuts the official splits, given by their sizes, into slices."""
    slices = []
    for official, size in sizes.items():
        starts = range(0, size, examples_per_slice)
        for number, start in enumerate(starts):
            stop = min(start + examples_per_slice, size)
            slices.append(Slice(official, start, stop, f"{number:05d}-of-{len(starts):05d}"))
    return slices


def apportion(sizes: Mapping[Key, int], total: int) -> dict[Key, int]:
    """Divides `total` in proportion to `sizes`, exactly, by largest remainder (Hamilton's method).

    No part is larger than its size, if `total` is at most the sum of the sizes. Of equal
    remainders, the one that comes first wins.
    """
    everything = max(sum(sizes.values()), 1)
    parts = {key: size * total // everything for key, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda key: -(sizes[key] * total % everything))
    for key in by_remainder[: total - sum(parts.values())]:
        parts[key] += 1
    return parts


def make_plan(counts: Iterable[SliceCount], rules: dict[str, Rule], limit: int) -> Plan:
    """Decides where every example goes.

    Args:
      counts: of every slice, in any order.
      rules: for each official split.
      limit: how many examples to keep in all, the same fraction of each class of each official
        split; 0 keeps all.
    """
    ordered = sorted(counts, key=lambda count: (count.slice.official, count.slice.start))
    errors = [count.error for count in ordered if count.error]
    if errors:
        return Plan(error=errors[0])
    first, totals = _accumulate(ordered)
    sizes = {(official, label): n for official in totals for label, n in totals[official].items()}
    everything = sum(sizes.values())
    kept = apportion(sizes, min(limit, everything) if limit else everything)
    classes: dict[tuple[str, int], ClassPlan] = {}
    for official, rule in rules.items():
        of_split = {key: n for key, n in kept.items() if key[0] == official}
        quotas = {
            split: apportion(of_split, round(sum(of_split.values()) * share))
            for split, share in rule.shares.items()
        }
        for key, n in of_split.items():
            each = tuple((split, quota[key]) for split, quota in quotas.items())
            classes[key] = ClassPlan(n, each, rule.rest)
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
