"""What ModelGate found out about a model by inspecting and running it. Pure data."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import model_validator
from typing_extensions import Self

from components.model_gate.best_release import BestRelease
from models.validation import Frozen

Inspection = Literal[
    "files", "operations", "signatures", "probabilities", "agreement", "repeatability"
]
"""Rules about the model alone, which `components.model_gate.probe` checks."""

Rule = Literal[Inspection, "test_data", "evaluation", "baseline_run"]
"""Inspections, and rules about the data, the evaluation and the baseline."""

INSPECTIONS: tuple[Inspection, ...] = get_args(Inspection)
RULES: tuple[Rule, ...] = get_args(Rule)

NOT_CHECKED = "not checked, because the model was not run"


class Paired(Frozen):
    """Predictions of the candidate and the baseline for the same images.

    Attributes:
      correct: number of images that the baseline classifies correctly.
      worse: by label, the number of images that only the baseline classifies correctly.
      better: by label, the number of images that only the candidate classifies correctly.
    """

    correct: int
    worse: tuple[int, ...]
    better: tuple[int, ...]


class Latency(Frozen):
    """Shortest time to classify a single image, in milliseconds, measured in turns."""

    signature: str
    candidate: float
    baseline: float

    @property
    def ratio(self) -> float:
        """The candidate's time as a multiple of the baseline's."""
        return self.candidate / self.baseline


class Behavior(Frozen):
    """The results of inspecting and running a model on the test split and on unusual images.

    Attributes:
      problems: the violations of each rule; an empty tuple if there are none.
      size_bytes: size of the model's files.
      calibration_error: expected calibration error in [0, 1]; None if the model was not run.
      expected_errors: number of misclassified test images that the model's own probabilities
        predict: the sum of 1 - the largest probability; None if the model was not run.
      baseline: the comparison with the baseline; None without one, or if either was not run.
      latencies: by signature that the baseline has, too; empty in the same cases.
      fingerprint: fingerprint of the examples.
      best_release: the best retained release; None if there is none.
    """

    problems: dict[Rule, tuple[str, ...]]
    size_bytes: int
    calibration_error: float | None = None
    expected_errors: float | None = None
    baseline: Paired | None = None
    latencies: tuple[Latency, ...] = ()
    fingerprint: str = ""
    best_release: BestRelease | None = None

    def with_problems(self, rule: Rule, problems: tuple[str, ...]) -> Behavior:
        """Adds problems of a rule."""
        found = {**self.problems, rule: (*self.problems[rule], *problems)}
        return self.model_copy(update={"problems": found})

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        """A rule without an entry was never checked."""
        if missing := set(RULES) - self.problems.keys():
            raise ValueError(f"expected the problems of all rules, missing: {sorted(missing)}")
        return self
