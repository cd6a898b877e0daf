"""How a training tells of its progress: log records that carry a `TrainingProgress`.

Light, so that whatever shows the progress need not import TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

HISTORY_FILE = "history.json"
"""Name of the file with the metrics of each epoch, in the Trainer's artifact `model_run`."""

PROGRESS_LOGGER = "models.progress"
"""Name of the logger; its records have the attribute `progress`."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is.

    Attributes:
      epoch: from 1.
      epochs: at most so many.
      step: of this epoch, from 1; equal to `steps` when the epoch has ended.
      steps: batches in an epoch.
      metrics: such as `loss` and `accuracy`, of this epoch so far; at an epoch's end also
        `val_loss`, `val_accuracy` and `learning_rate`.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    metrics: dict[str, float]
