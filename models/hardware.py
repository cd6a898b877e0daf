"""Describes the machine that trains a model."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def describe_hardware(cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """Describes processor, usable threads and GPUs, as in "AMD EPYC 7B13, 2 threads, no GPU".

    Args:
      cpu_info: Linux's description of the processors. If it is missing or names no model, the
        machine architecture is used instead.
    """
    import tensorflow as tf

    text = cpu_info.read_text(encoding="utf-8") if cpu_info.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    threads = len(os.sched_getaffinity(0))
    gpus = len(tf.config.list_physical_devices("GPU"))
    return (
        f"{found[1].strip() if found else platform.machine()}, {_counted(threads, 'thread')}, "
        f"{_counted(gpus, 'GPU') if gpus else 'no GPU'}"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
