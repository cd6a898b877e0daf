"""Allows one run at a time in a pipeline root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PipelineRootBusyError(Exception):
    """Another run is using the pipeline root."""


@contextmanager
def locked(pipeline_root: Path) -> Iterator[None]:
    """Locks a pipeline root for one run. The operating system frees the lock of a killed run.

    Raises:
      PipelineRootBusyError: another run has locked it.
      OSError: the pipeline root can't be created or written.
    """
    import filelock  # It imports asyncio, which would delay every help text.

    pipeline_root.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(pipeline_root / ".lock").acquire(timeout=0)
    except filelock.Timeout:
        raise PipelineRootBusyError(
            f"pipeline root {pipeline_root} is in use by another run: wait until it ends, or "
            "choose another root with --pipeline-root"
        ) from None
    with lock:
        yield
