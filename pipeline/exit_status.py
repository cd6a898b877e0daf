"""The exit statuses, so that a CI/CD system can gate a release on a run."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of `mnist-pipeline run`; its help and the README list them, too."""

    PUSHED = 0
    FAILED = 1
    USAGE = 2
    MODEL_REJECTED = 3
    DATA_REJECTED = 4
    INTERRUPTED = 130
