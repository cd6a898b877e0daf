"""A lock that prevents concurrent runs on the same pipeline root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PipelineRootBusyError(Exception):
    """Another run is using the pipeline root."""


@contextmanager
def locked(pipeline_root: Path) -> Iterator[None]:
    """Locks a pipeline root, creating the directory if necessary.

    If the process is killed, the operating system releases the lock.

    Raises:
      PipelineRootBusyError: another run holds the lock.
      OSError: the pipeline root can't be created or is not writable.
    """
    import filelock  # Imports asyncio, which would slow down every help text.

    pipeline_root.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(pipeline_root / ".lock").acquire(timeout=0)
    except filelock.Timeout:
        raise PipelineRootBusyError(
            f"pipeline root {pipeline_root} is in use by another run; wait until that run ends, or "
            "choose another root with --pipeline-root"
        ) from None
    with lock:
        yield
