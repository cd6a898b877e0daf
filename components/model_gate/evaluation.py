"""Reads the metrics that the Evaluator wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow_model_analysis as tfma
from google.protobuf.message import Message

from components.model_gate import eval_config
from components.model_gate.rules import IMPOSSIBLE, Confusion, Evaluated

_NO_CLASS = -1
"""Class that TFMA reports when no probability is above the threshold."""


class EvidenceError(Exception):
    """The evaluation is missing, unreadable or incomplete."""


def read_evaluation(
    directory: str, has_baseline: bool, class_names: Sequence[str]
) -> tuple[Evaluated, Evaluated | None]:
    """Reads TFMA's metrics over all examples.

    Args:
      directory: URI of a ModelEvaluation created with `eval_config.make_eval_config`.
      has_baseline: whether the Evaluator evaluated a baseline.
      class_names: class names, indexed by label.

    Returns:
      The candidate's metrics, and the baseline's metrics or None.

    Raises:
      EvidenceError: if the files can't be read, a confusion matrix is missing, or a label has no
        class name.
    """
    values = _load(directory)
    candidate = tfma.CANDIDATE_KEY if has_baseline else ""  # TFMA doesn't name a single model.
    names = tuple(class_names)
    return (
        _evaluated(values.get(candidate, {}), "model", names),
        _evaluated(values.get(tfma.BASELINE_KEY, {}), "baseline", names) if has_baseline else None,
    )


def _load(directory: str) -> dict[str, dict[str, Message]]:
    """Returns the metric protos of the overall slice, by model name and metric name."""
    values: dict[str, dict[str, Message]] = {}
    try:
        slices = list(tfma.load_metrics(directory))
    except Exception as error:  # TensorFlow, protobuf and TFMA each raise their own types.
        raise EvidenceError(f"the evaluation's metrics can't be read: {error}") from error
    for metrics in slices:
        if metrics.slice_key.single_slice_keys:
            continue
        for item in metrics.metric_keys_and_values:
            if not item.key.is_diff:
                values.setdefault(item.key.model_name, {})[item.key.name] = item.value
    return values


def _evaluated(
    values: Mapping[str, Message], model: str, class_names: tuple[str, ...]
) -> Evaluated:
    if eval_config.CONFUSION not in values:
        raise EvidenceError(
            f"the evaluation has no confusion matrix for the {model}; check that the test split "
            "has examples"
        )
    return Evaluated(
        confusion=_confusion(values[eval_config.CONFUSION], class_names),
        loss=_double(values.get(eval_config.LOSS)),
        top_2_accuracy=_double(values.get(eval_config.TOP_2_ACCURACY)),
    )


def _double(value: Message | None) -> float | None:
    if value is None or value.WhichOneof("type") != "double_value":
        return None
    return float(value.double_value.value)


def _confusion(value: Message, class_names: tuple[str, ...]) -> Confusion:
    """Counts NaN and infinite predictions as invalid; see `rules.IMPOSSIBLE`."""
    matrices = {
        matrix.threshold: {
            (entry.actual_class_id, entry.predicted_class_id): int(entry.num_weighted_examples)
            for entry in matrix.entries
        }
        for matrix in value.multi_class_confusion_matrix_at_thresholds.matrices
    }
    if matrices.keys() != {eval_config.VALID, IMPOSSIBLE}:
        raise EvidenceError(
            f"expected confusion matrices for the thresholds {eval_config.VALID} and {IMPOSSIBLE}, "
            f"received {sorted(matrices)}"
        )
    size = len(class_names)
    counts = [[0] * size for _ in range(size)]
    invalid = [0] * size
    impossible = matrices[IMPOSSIBLE]
    for (actual, predicted), examples in matrices[eval_config.VALID].items():
        if not 0 <= actual < size or predicted >= size:
            raise EvidenceError(
                f"expected labels and predictions from 0 to {size - 1}, "
                f"received label {actual} predicted as {predicted}"
            )
        if predicted == _NO_CLASS:
            invalid[actual] += examples
            continue
        not_finite = impossible.get((actual, predicted), 0)
        counts[actual][predicted] = examples - not_finite
        invalid[actual] += not_finite
    return Confusion(class_names, tuple(map(tuple, counts)), tuple(invalid))
