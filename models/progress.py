"""Reports the progress of a training in log records that carry a `TrainingProgress`.

Imports nothing heavy, so that whatever shows the progress doesn't need TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

HISTORY_FILE = "history.json"
"""Name of the file with the metrics of each epoch, in the Trainer's artifact `model_run`."""

PROGRESS_LOGGER = "models.progress"
"""Name of the logger; its records have an attribute `progress`."""


@dataclass(frozen=True)
class TrainingProgress:
    """The position and the metrics of a training.

    Attributes:
      epoch: from 1.
      epochs: largest possible number of epochs.
      step: in this epoch, from 1; equal to `steps` at the end of the epoch.
      steps: batches in an epoch.
      metrics: means over this epoch so far, such as `loss` and `accuracy`; at the end of an epoch
        also the metrics of the validation, with the prefix `val_`, and `learning_rate`.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    metrics: dict[str, float]
