"""Exit statuses of the commands, for scripts and CI/CD systems."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the commands.

    Attributes:
      SUCCESS: the command succeeded. For `run`: the model was pushed, or is already the newest
        release.
      FAILED: the command failed.
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
