"""Training progress, attached to log records as a `TrainingProgress`.

Imports nothing heavy, so code that displays progress doesn't load TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

HISTORY_FILE = "history.json"
"""File with the metrics of each epoch, in the Trainer's artifact `model_run`."""

AUGMENTED_FILE = "augmented.png"
"""Sheet of augmented training images, in the same artifact if the training augments: one row for
each image, which starts with the original."""

PROGRESS_LOGGER = "models.progress"
"""Name of the logger. Its records have the attribute `progress`."""


@dataclass(frozen=True)
class TrainingProgress:
    """Current epoch, step and metrics.

    Attributes:
      epoch: from 1.
      epochs: maximum number of epochs.
      step: within the epoch, from 1; equals `steps` at the end of the epoch.
      steps: batches per epoch.
      metrics: running means over the epoch, such as `loss` and `accuracy`. At the end of an epoch
        also `learning_rate` and the validation metrics, prefixed with `val_`.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    metrics: dict[str, float]
