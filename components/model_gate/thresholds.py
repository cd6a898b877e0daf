"""The thresholds of the model gate, with their defaults, bounds and descriptions.

The command line options, the settings files and Kubeflow's run parameters are generated from the
fields of `Thresholds`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, ValidationError

from models.validation import Frozen, problems

Number = Annotated[Decimal, Field(decimal_places=30, allow_inf_nan=False)]
"""An exact decimal: 0.95 is 95/100. Its upper bound keeps its conversion to float finite."""


_MOST = 1_000_000


class ThresholdsError(ValueError):
    """The thresholds are malformed, incomplete or out of range."""


class Thresholds(Frozen):
    """Thresholds of the model gate."""

    accuracy_threshold: Number = Field(
        Decimal("0.95"), ge=0, le=1, description="Smallest test accuracy that passes the gate."
    )
    class_recall_threshold: Number = Field(
        Decimal("0.90"), ge=0, le=1, description="Smallest recall of each class."
    )
    max_loss: Number = Field(
        Decimal("0.25"),
        gt=0,
        le=_MOST,
        description="Largest mean cross-entropy on the test images, in nats.",
    )
    min_test_examples: int = Field(
        1000, ge=1, description="Smallest number of test images that must be evaluated."
    )
    min_class_examples: int = Field(
        20, ge=1, description="Smallest number of test images of each class."
    )
    max_calibration_error: Number = Field(
        Decimal("0.03"),
        ge=0,
        le=1,
        description="Largest expected calibration error: the mean difference between the "
        "probability of the predicted class and the accuracy at that probability.",
    )
    max_overconfidence: Number = Field(
        Decimal(3),
        ge=1,
        le=_MOST,
        description="Largest number of errors for each error that the model's own probabilities "
        "predict.",
    )
    max_model_mb: Number = Field(
        Decimal(100), gt=0, le=_MOST, description="Largest size of the SavedModel, in MB."
    )
    max_latency_ratio: Number = Field(
        Decimal(3),
        gt=0,
        le=_MOST,
        description="Largest time to classify a single image, relative to the baseline's.",
    )
    baseline_alpha: Number = Field(
        Decimal("0.001"),
        ge=0,
        lt=1,
        description="Probability of rejecting a model that is as good as the baseline. The model "
        "is rejected if McNemar's exact test finds it worse, over all images or those of a class. "
        "0 disables the test.",
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
