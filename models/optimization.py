"""Loss, optimizer and learning rate schedule."""

from __future__ import annotations

import keras

from models.hyperparameters import Hyperparameters


def compile_model(model: keras.Model, parameters: Hyperparameters, steps: int) -> None:
    """Compiles a model with cross-entropy, accuracy and the Adam of the hyperparameters.

    Args:
      model: returns probabilities.
      parameters: provides `learning_rate`, `schedule`, `warmup` and `averaging`.
      steps: training steps in all epochs.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(
            _learning_rate(parameters, steps),
            use_ema=parameters.averaging > 0,
            ema_momentum=1 - 1 / max(1, parameters.averaging * steps),
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def _learning_rate(
    parameters: Hyperparameters, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    peak = parameters.learning_rate
    if parameters.schedule == "plateau":
        return peak
    warmup = int(parameters.warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=peak, warmup_steps=warmup
    )
