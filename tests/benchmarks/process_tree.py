"""The processor time and memory of a process and its children."""

from __future__ import annotations

import contextlib

import psutil


def usage(process: psutil.Process) -> tuple[float, int]:
    """Returns CPU seconds, including those of ended children, and bytes of resident memory.

    Pages that processes share count once for each.
    """
    cpu_seconds, used = 0.0, 0
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # It ended in the meantime.
            cpu_seconds += sum(member.cpu_times()[:4])
            used += member.memory_info().rss
    return cpu_seconds, used
