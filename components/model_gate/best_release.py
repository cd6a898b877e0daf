"""The rule `best_release`, which keeps many small losses of accuracy from adding up.

Each candidate may be slightly worse than the live model, so a series of releases could drift far
below the first one. A candidate is therefore also compared with the best of the retained releases.
Its counts come from its manifest, so it doesn't have to be evaluated again.
"""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field, model_validator

from components.model_gate.checks import Check
from models.validation import Frozen

NAME = "best_release"


class BestRelease(Frozen):
    """The counts of the best retained release, from its manifest.

    Attributes:
      version: the release's version, as text, because ML Metadata may store it as a float.
      correct: number of test examples that it classified correctly.
      examples: number of test examples.
      fingerprint: fingerprint of the examples that it was trained and evaluated on.
    """

    version: str
    correct: int = Field(ge=0)
    examples: int = Field(ge=1)
    fingerprint: str = Field(min_length=1)

    @model_validator(mode="after")
    def _check_counts(self) -> BestRelease:
        if self.correct > self.examples:
            raise ValueError(f"expected at most {self.examples} correct, received {self.correct}")
        return self


def check_best_release(
    correct: int, examples: int, fingerprint: str, best: BestRelease | None, alpha: Fraction
) -> Check:
    """Checks that a candidate is not significantly worse than the best retained release.

    Two models are comparable only on the same data. Which examples both got wrong is unknown, so
    the test assumes none: McNemar's exact test then has its largest p-value. A rejection is
    therefore significant at `alpha` or less, however much the errors overlap.

    Args:
      correct: number of test examples that the candidate classified correctly.
      examples: number of test examples, at least `correct`.
      fingerprint: fingerprint of the examples that the candidate was evaluated on.
      best: the best retained release; None if there is none.
      alpha: level of the one-sided test; 0 never rejects.

    Returns:
      The check `best_release`. Its value is the p-value, which passes if it is at least `alpha`.
    """
    p_value, detail = _compare(correct, examples, fingerprint, best)
    return Check(
        name=NAME,
        rule=f"not worse than the best release (one-sided test, level {float(alpha):.10g})",
        threshold=None if p_value is None else float(alpha),
        value=None if p_value is None else float(p_value),
        passed=p_value is None or p_value >= alpha,
        detail=detail,
    )


def _compare(
    correct: int, examples: int, fingerprint: str, best: BestRelease | None
) -> tuple[Fraction | None, str]:
    """Returns the p-value, or None if the models can't be compared, and the detail."""
    if best is None:
        return None, "no release was evaluated on this data"
    if (best.fingerprint, best.examples) != (fingerprint, examples):
        return None, f"version {best.version} was evaluated on other data"
    errors, best_errors = examples - correct, best.examples - best.correct
    detail = f"{errors:,} errors, {best_errors:,} of version {best.version}"
    return sign_test(losses=errors, wins=best_errors), detail


def sign_test(losses: int, wins: int) -> Fraction:
    """Returns the exact one-sided p-value of the sign test, on which McNemar's test is based.

    Args:
      losses: number of examples that only the other model classified correctly.
      wins: number of examples that only this model classified correctly.

    Returns:
      The probability of at least this many losses among `losses + wins` examples, if both were
      equally likely.
    """
    total = losses + wins
    combinations = tail = 1
    for chosen in range(1, wins + 1):
        combinations = combinations * (total - chosen + 1) // chosen
        tail += combinations
    return Fraction(tail, 2**total)
