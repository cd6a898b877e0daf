"""Describes the machine that trains a model."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
_BFLOAT16_CAPABILITY = (8, 0)
"""CUDA compute capability of Ampere, NVIDIA's first GPUs that calculate in bfloat16."""


def describe_hardware(cpu_info: Path = _CPU_INFO) -> str:
    """Describes processor, usable threads and GPUs, as in "AMD EPYC 7B13, 2 threads, no GPU".

    Args:
      cpu_info: Linux's description of the processors. If it is missing or names no model, the
        machine architecture is used instead.
    """
    import tensorflow as tf

    name = _cpu_fact("model name", cpu_info) or platform.machine()
    threads = len(os.sched_getaffinity(0))
    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"{name}, {_counted(threads, 'thread')}, {_counted(gpus, 'GPU') if gpus else 'no GPU'}"


def supports_bfloat16(cpu_info: Path = _CPU_INFO) -> bool:
    """Returns whether the devices that train a model have instructions for bfloat16.

    Those are all GPUs, if TensorFlow finds any, else the processor. Without such instructions,
    TensorFlow emulates bfloat16, which is slower than float32.

    Args:
      cpu_info: Linux's description of the processors; a missing file means no support.
    """
    import tensorflow as tf

    if gpus := tf.config.list_physical_devices("GPU"):
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(d.get("compute_capability", (0, 0)) >= _BFLOAT16_CAPABILITY for d in details)
    return not _BFLOAT16_FLAGS.isdisjoint(_cpu_fact("flags", cpu_info).split())


def _cpu_fact(name: str, cpu_info: Path) -> str:
    """Returns a value for the first processor, or "" if it is missing."""
    text = cpu_info.read_text(encoding="utf-8") if cpu_info.is_file() else ""
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
