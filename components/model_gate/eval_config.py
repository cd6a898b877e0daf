"""Configures the Evaluator's metrics."""

from __future__ import annotations

import json

import tensorflow_model_analysis as tfma

from components.model_gate.rules import IMPOSSIBLE
from models import features

LOSS = "loss"
TOP_2_ACCURACY = "top_2_accuracy"
CONFUSION = "confusion_matrix"

VALID = 0.0
"""A prediction is invalid if no probability is above this threshold."""


def make_eval_config() -> tfma.EvalConfig:
    """Configures TFMA to compute the metrics of a candidate and a baseline over all examples.

    TFMA applies no thresholds: the gate decides on the counts of the confusion matrix, from which
    it also computes exact per-class precision, recall and F1. The Evaluator ignores the baseline if
    it receives no baseline model.
    """
    return tfma.EvalConfig(
        model_specs=[_model_spec(tfma.CANDIDATE_KEY), _model_spec(tfma.BASELINE_KEY)],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    _metric("SparseCategoricalCrossentropy", name=LOSS),
                    _metric("SparseCategoricalAccuracy", name="accuracy"),
                    _metric("SparseTopKCategoricalAccuracy", name=TOP_2_ACCURACY, k=2),
                    _metric(
                        "MultiClassConfusionMatrixAtThresholds",
                        name=CONFUSION,
                        thresholds=[VALID, IMPOSSIBLE],
                    ),
                ]
            )
        ],
    )


def _model_spec(name: str) -> tfma.ModelSpec:
    return tfma.ModelSpec(
        name=name,
        is_baseline=name == tfma.BASELINE_KEY,
        signature_name="serving_default",
        label_key=features.LABEL,
        prediction_key=features.PROBABILITIES,
    )


def _metric(class_name: str, **config: str | int | list[float]) -> tfma.MetricConfig:
    return tfma.MetricConfig(class_name=class_name, config=json.dumps(config))
