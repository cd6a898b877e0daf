"""Confidence intervals of proportions, such as accuracy and recall."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """Bounds from 0 to 1."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int) -> Interval | None:
    """Returns the 95% score interval of a binomial proportion; None without trials.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927).
    Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion, Statistical Science 16
    (2001), recommend it, because it stays within 0 and 1 and is accurate for proportions near them.
    """
    from scipy.stats import binomtest

    if trials == 0:
        return None
    return Interval(*binomtest(successes, trials).proportion_ci(method="wilson"))
