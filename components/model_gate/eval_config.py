"""What the Evaluator is asked to compute."""

from __future__ import annotations

import json

import tensorflow_model_analysis as tfma

from models import features

LOSS = "loss"
ACCURACY = "accuracy"
TOP_2_ACCURACY = "top_2_accuracy"
CONFUSION = "confusion_matrix"

ANSWERED = 0.0
"""An example whose highest probability is not above this has no answer."""

IMPOSSIBLE = 1.001
"""No probability is above this, so what the confusion matrix still counts here is no answer.

TFMA's confusion matrix takes the arg max, which for NaN is NaN's own position, and drops a
prediction if it is `<=` the threshold, which NaN never is. So NaN would count as right wherever its
position is the label; at this threshold all that is left are NaN and infinity, to be subtracted
(`tensorflow_model_analysis/metrics/multi_class_confusion_matrix_metrics.py`, 0.47 and 0.52).
"""


def make_eval_config() -> tfma.EvalConfig:
    """The configuration of TFMA: a candidate and a baseline, metrics over all examples.

    It has no thresholds: the gate decides on the counts of the confusion matrix, from which it also
    derives precision, recall and F1 of each digit, exactly. The Evaluator drops the baseline
    itself when there is no such model.
    """
    return tfma.EvalConfig(
        model_specs=[_model_spec(tfma.CANDIDATE_KEY), _model_spec(tfma.BASELINE_KEY)],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    _metric("SparseCategoricalCrossentropy", name=LOSS),
                    _metric("SparseCategoricalAccuracy", name=ACCURACY),
                    _metric("SparseTopKCategoricalAccuracy", name=TOP_2_ACCURACY, k=2),
                    _metric(
                        "MultiClassConfusionMatrixAtThresholds",
                        name=CONFUSION,
                        thresholds=[ANSWERED, IMPOSSIBLE],
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
