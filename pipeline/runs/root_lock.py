"""One run at a time on one pipeline root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class PipelineRootBusyError(Exception):
    """Another run is using the pipeline root."""


@contextmanager
def locked(pipeline_root: Path) -> Iterator[None]:
    """Holds a pipeline root for one run; the lock of a run that was killed is free again.

    Raises:
      PipelineRootBusyError: another run holds it.
      OSError: the pipeline root can't be made or written.
    """
    pipeline_root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(pipeline_root / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PipelineRootBusyError(
            f"the pipeline root {pipeline_root} is in use by another run: wait for that to end, "
            "or choose another with --pipeline-root"
        ) from None
    try:
        yield
    finally:
        lock.release()
