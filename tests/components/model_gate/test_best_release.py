from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from pydantic import ValidationError

from components.model_gate.best_release import BestRelease, check_best_release, sign_test

ALPHA = Fraction(1, 100)
DATA = "f" * 64


def best(correct: int, examples: int = 10_000, fingerprint: str = DATA) -> BestRelease:
    return BestRelease(
        version="1795499283", correct=correct, examples=examples, fingerprint=fingerprint
    )


def passes(correct: int, than: int, examples: int = 10_000, alpha: Fraction = ALPHA) -> bool:
    return check_best_release(correct, examples, DATA, best(than, examples), alpha).passed


@pytest.mark.parametrize(
    ("losses", "wins", "p_value"),
    [
        (0, 0, Fraction(1)),
        (0, 5, Fraction(1)),
        (1, 0, Fraction(1, 2)),
        (7, 0, Fraction(1, 128)),
        (3, 1, Fraction(5, 16)),  # Of 16 outcomes, 4 have 3 losses and 1 has 4.
        (1, 1, Fraction(3, 4)),
    ],
)
def test_p_values_are_exact(losses: int, wins: int, p_value: Fraction) -> None:
    assert sign_test(losses, wins) == p_value


def test_p_values_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for losses, wins in ((111, 62), (62, 111), (500, 499), (4_000, 3_800)):
        expected = stats.binomtest(losses, losses + wins, alternative="greater").pvalue
        assert float(sign_test(losses, wins)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("difference", [1, 4, 9])
def test_the_assumption_of_disjoint_errors_gives_the_largest_p_value(difference: int) -> None:
    overlaps = [sign_test(wins + difference, wins) for wins in range(60)]
    assert all(less <= more for less, more in pairwise(overlaps))


def test_a_series_of_small_losses_is_stopped() -> None:
    # Each model has 50 errors more than the one before it.
    assert not passes(correct=9_950, than=10_000)
    assert not passes(correct=9_889, than=9_938)


def test_a_difference_between_honest_trainings_passes() -> None:
    assert passes(correct=9_938, than=9_950)
    assert passes(correct=965, than=973, examples=1_000)
    assert passes(correct=9_940, than=9_938)


def test_the_level_itself_passes() -> None:
    seven_errors = Fraction(1, 128)
    assert passes(correct=9_993, than=10_000, alpha=seven_errors)
    assert not passes(correct=9_993, than=10_000, alpha=seven_errors + Fraction(1, 10**30))


def test_level_zero_never_rejects() -> None:
    assert passes(correct=0, than=10_000, alpha=Fraction(0))


def test_the_check_names_the_release_and_the_errors() -> None:
    check = check_best_release(9_889, 10_000, DATA, best(9_938), ALPHA)
    assert (check.name, check.threshold) == ("best_release", 0.01)
    assert check.value == pytest.approx(1.205e-4, rel=0.01)
    assert check.detail == "111 errors, 62 of version 1795499283"


@pytest.mark.parametrize(
    ("other", "detail"),
    [
        (None, "no release was evaluated on this data"),
        (best(10_000, fingerprint="0" * 64), "version 1795499283 was evaluated on other data"),
        (best(1_000, examples=1_000), "version 1795499283 was evaluated on other data"),
    ],
)
def test_without_a_comparable_release_the_rule_passes(
    other: BestRelease | None, detail: str
) -> None:
    check = check_best_release(0, 10_000, DATA, other, ALPHA)
    assert (check.passed, check.value, check.detail) == (True, None, detail)


def test_inconsistent_counts_are_refused() -> None:
    with pytest.raises(ValidationError, match="expected at most 10 correct, received 11"):
        best(11, examples=10)
