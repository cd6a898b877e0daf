"""The thresholds of the model gate, with their defaults, bounds and descriptions.

The command line options, the settings files and Kubeflow's run parameters are generated from the
fields of `Thresholds`.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field, ValidationError

from models.validation import Frozen, problems


class ThresholdsError(ValueError):
    """The thresholds are malformed, incomplete or out of range."""


class Thresholds(Frozen):
    """Thresholds of the model gate. As a Decimal, 0.95 is exactly 95/100."""

    accuracy_threshold: Decimal = Field(
        Decimal("0.95"), ge=0, le=1, description="Smallest test accuracy that passes the gate."
    )
    class_recall_threshold: Decimal = Field(
        Decimal("0.90"), ge=0, le=1, description="Smallest recall of each class."
    )
    max_loss: Decimal = Field(
        Decimal("0.25"),
        gt=0,
        allow_inf_nan=False,
        description="Largest mean cross-entropy on the test images, in nats.",
    )
    min_test_examples: int = Field(
        1000, ge=1, description="Smallest number of test images that must be evaluated."
    )
    baseline_tolerance: Decimal = Field(
        Decimal("0.005"),
        ge=0,
        le=1,
        description="Largest allowed drop in accuracy against the baseline.",
    )

    @classmethod
    def from_json(cls, text: str) -> Thresholds:
        """Parses a JSON object with all fields. Decimals may be strings or numbers.

        Raises:
          ThresholdsError: if fields are missing, unknown or out of range; the message lists them.
        """
        try:
            thresholds = cls.model_validate_json(text)
        except ValidationError as error:
            raise ThresholdsError(
                f"Expected the gate's thresholds: {'; '.join(problems(error))}."
            ) from error
        missing = ", ".join(sorted(cls.model_fields.keys() - thresholds.model_fields_set))
        if missing:
            raise ThresholdsError(f"Expected all of the gate's thresholds, missing: {missing}.")
        return thresholds
