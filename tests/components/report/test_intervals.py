"""Confidence intervals, compared with published and independently computed ones."""

from __future__ import annotations

import pytest

from components.report.intervals import wilson_interval


def test_interval_of_newcombe_1998() -> None:
    # Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17
    # (1998), table I, method 3.
    for successes, trials, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_interval_of_all_ends_at_1() -> None:
    assert wilson_interval(20, 20) == pytest.approx((1 - 0.1611, 1.0), abs=5e-5)


def test_without_trials_there_is_no_interval() -> None:
    assert wilson_interval(0, 0) is None
