"""Reads the metrics that the rules need from what the Evaluator wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow_model_analysis as tfma
from google.protobuf.message import Message

from components.model_gate import eval_config
from components.model_gate.rules import Confusion, Evaluated
from models import features

_NO_DIGIT = -1


class EvidenceError(Exception):
    """The evaluation is missing, unreadable or incomplete; the message is a clause that says so."""


class Evaluation(NamedTuple):
    """The candidate's metrics, and the baseline's if there is one."""

    candidate: Evaluated
    baseline: Evaluated | None


def read_evaluation(directory: str, has_baseline: bool) -> Evaluation:
    """Reads TFMA's metrics over all examples.

    Args:
      directory: URI of a ModelEvaluation made with `eval_config.make_eval_config`.
      has_baseline: whether a baseline was given to the Evaluator.

    Raises:
      EvidenceError: if the files can't be read, or lack either model's confusion matrix.
    """
    values = _load(directory)
    if not has_baseline:  # TFMA leaves the name of a single model empty.
        return Evaluation(_evaluated(values.get("", {}), "the model"), None)
    return Evaluation(
        _evaluated(values.get(tfma.CANDIDATE_KEY, {}), "the model"),
        _evaluated(values.get(tfma.BASELINE_KEY, {}), "the baseline"),
    )


def _load(directory: str) -> dict[str, dict[str, Message]]:
    """Metric values (protos) by model and metric name, of the overall slice."""
    values: dict[str, dict[str, Message]] = {}
    try:
        slices = list(tfma.load_metrics(directory))
    except Exception as error:  # TensorFlow, protobuf and TFMA each raise their own kinds.
        raise EvidenceError(f"its metrics can't be read: {error}") from error
    for metrics in slices:
        if metrics.slice_key.single_slice_keys:
            continue
        for item in metrics.metric_keys_and_values:
            if not item.key.is_diff:
                values.setdefault(item.key.model_name, {})[item.key.name] = item.value
    return values


def _evaluated(values: Mapping[str, Message], whose: str) -> Evaluated:
    if eval_config.CONFUSION not in values:
        raise EvidenceError(f"it holds no confusion matrix of {whose}: was any example evaluated?")
    return Evaluated(
        confusion=_confusion(values[eval_config.CONFUSION]),
        loss=_double(values.get(eval_config.LOSS)),
        top_2_accuracy=_double(values.get(eval_config.TOP_2_ACCURACY)),
    )


def _double(value: Message | None) -> float | None:
    if value is None or value.WhichOneof("type") != "double_value":
        return None
    return float(value.double_value.value)


def _confusion(value: Message) -> Confusion:
    """Takes out of the answers those that are no probabilities; see `eval_config.IMPOSSIBLE`."""
    matrices = {
        matrix.threshold: {
            (entry.actual_class_id, entry.predicted_class_id): entry.num_weighted_examples
            for entry in matrix.entries
        }
        for matrix in value.multi_class_confusion_matrix_at_thresholds.matrices
    }
    if matrices.keys() != {eval_config.ANSWERED, eval_config.IMPOSSIBLE}:
        raise EvidenceError(f"its confusion matrix has the thresholds {sorted(matrices)}")
    counts = [[0] * features.NUM_CLASSES for _ in range(features.NUM_CLASSES)]
    unanswered = [0] * features.NUM_CLASSES
    impossible = matrices[eval_config.IMPOSSIBLE]
    for (actual, predicted), examples in matrices[eval_config.ANSWERED].items():
        if not 0 <= actual < features.NUM_CLASSES or predicted >= features.NUM_CLASSES:
            raise EvidenceError(
                f"label {actual} was answered with {predicted}, which are not both digits"
            )
        if predicted == _NO_DIGIT:
            unanswered[actual] += int(examples)
            continue
        no_probability = int(impossible.get((actual, predicted), 0))
        counts[actual][predicted] = int(examples) - no_probability
        unanswered[actual] += no_probability
    return Confusion(tuple(map(tuple, counts)), tuple(unanswered))
