"""Exit statuses that a CI/CD system can gate a release on."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the commands; the README lists those of `run`.

    Attributes:
      SUCCESS: the command succeeded. For `run`: the model is pushed, or the newest
        release already holds it.
      FAILED: something broke.
      USAGE: an option or setting is wrong.
      MODEL_REJECTED: the model failed its gate; nothing was pushed.
      DATA_REJECTED: data validation failed; nothing was trained.
      INTERRUPTED: stopped by Ctrl+C.
    """

    SUCCESS = 0
    FAILED = 1
    USAGE = 2
    MODEL_REJECTED = 3
    DATA_REJECTED = 4
    INTERRUPTED = 130
