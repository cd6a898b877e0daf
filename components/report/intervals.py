"""Confidence intervals of proportions, such as accuracy and recall."""

from __future__ import annotations

import math
from typing import NamedTuple

_Z = 1.959963984540054
"""The 97.5% quantile of the standard normal distribution, for a two-sided 95% interval."""


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
    if trials == 0:
        return None
    share = successes / trials
    shrink = 1 + _Z**2 / trials
    center = (share + _Z**2 / (2 * trials)) / shrink
    half = _Z / shrink * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    return Interval(max(0.0, center - half), min(1.0, center + half))
