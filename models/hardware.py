"""The processors and GPUs of this machine: their number, description and use by TensorFlow.

Imports nothing heavy, so commands can call `limit_threads` before they import TensorFlow.
"""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = {"amx_bf16": "AMX BF16", "avx512_bf16": "AVX-512 BF16"}
"""Names of the instruction sets for bfloat16, by their flags in Linux; the fastest first."""

_BFLOAT16_CAPABILITY = (8, 0)
"""CUDA compute capability of Ampere, NVIDIA's first GPUs that calculate in bfloat16."""

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
"""Variables with the numbers of threads: TensorFlow's two pools, and NumPy's OpenBLAS."""


def limit_threads(environ: MutableMapping[str, str] = os.environ) -> None:
    """Sets environment defaults for TensorFlow, which must not have been imported yet.

    TensorFlow and OpenBLAS start as many threads as the affinity allows. If control groups limit
    the process to less processor time, as containers do, more threads than `usable_processors`
    compete for it: a training with 64 threads on 2 processors took twice the processor time. GPU
    memory is allocated as needed, so that other processes can use the GPU, too.

    Args:
      environ: the environment; variables that are already set are not changed.
    """
    processors = usable_processors()
    if processors < len(os.sched_getaffinity(0)):
        for name in _THREADS:
            environ.setdefault(name, str(processors))
    environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def usable_processors(process: Path = Path("/proc/self")) -> int:
    """Returns the number of processors that this process may use, at least 1.

    This is the number in its affinity, or less if its control group or one of the parents, of
    version 1 or 2, has a limit on processor time. A limit of 1.5 processors counts as 2.

    Args:
      process: directory with the kernel's files `cgroup` and `mountinfo` about the process.
    """
    limits = (math.ceil(limit) for limit in _processor_limits(process))
    return max(1, min([len(os.sched_getaffinity(0)), *limits]))


def describe_hardware(cpu_info: Path = _CPU_INFO) -> str:
    """Describes the hardware, as in "AMD EPYC 9B14 with AVX-512 BF16, 2 threads, no GPU".

    Args:
      cpu_info: Linux's description of the processors. If it is missing or names no model, the
        machine architecture is used instead.
    """
    import tensorflow as tf

    processor = _cpu_fact("model name", cpu_info) or platform.machine()
    if instructions := _bfloat16_instructions(cpu_info):
        processor += f" with {instructions}"
    gpus = len(tf.config.list_physical_devices("GPU"))
    return (
        f"{processor}, {_counted(_threads(), 'thread')}, "
        f"{_counted(gpus, 'GPU') if gpus else 'no GPU'}"
    )


def _threads() -> int:
    """Returns the number of threads in which TensorFlow runs one operation."""
    return int(os.environ.get(_THREADS[0]) or 0) or usable_processors()


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
    return bool(_bfloat16_instructions(cpu_info))


def _bfloat16_instructions(cpu_info: Path) -> str:
    flags = _cpu_fact("flags", cpu_info).split()
    return next((name for flag, name in _BFLOAT16_FLAGS.items() if flag in flags), "")


def _cpu_fact(name: str, cpu_info: Path) -> str:
    """Returns a value for the first processor, or "" if it is missing."""
    found = re.search(rf"^{name}\s*:\s*(.+)$", _read(cpu_info), re.MULTILINE)
    return found[1].strip() if found else ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _processor_limits(process: Path) -> Iterator[float]:
    """Yields the limits on processor time, in processors, of all control groups of a process."""
    for mount_point, group in _control_groups(process):
        for directory in [group, *group.parents]:
            quota, period = _quota_and_period(directory)
            if quota.isdecimal() and period.isdecimal():  # Without a limit: max or -1.
                yield int(quota) / int(period)
            if directory == mount_point:
                break


def _quota_and_period(directory: Path) -> tuple[str, str]:
    """Returns the texts of the microseconds in each period of a control group, or ("", "")."""
    version_2 = _read(directory / "cpu.max").split()
    if len(version_2) == 2:  # noqa: PLR2004
        return version_2[0], version_2[1]
    quota, period = (_read(directory / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota.strip(), period.strip()


def _control_groups(process: Path) -> Iterator[tuple[Path, Path]]:
    """Yields mount points, and below each the directory of the process's group for processors.

    The formats are in cgroups(7) and proc_pid_mountinfo(5). In a container, the mount point often
    shows the container's group instead of the root; its path is then the fourth field.
    """
    paths = {
        "cpu" if "cpu" in controllers.split(",") else controllers: path
        for _, controllers, path in (
            line.split(":", 2) for line in _read(process / "cgroup").splitlines()
        )
    }
    for line in _read(process / "mountinfo").splitlines():
        mount, _, file_system = line.partition(" - ")
        kind, _, options = file_system.split(" ", 2)
        controller = {"cgroup2": "", "cgroup": "cpu"}.get(kind)
        if controller is None or controller not in ["", *options.split(",")]:
            continue
        root, mount_point = (_unescaped(field) for field in mount.split(" ")[3:5])
        path = os.path.relpath(paths.get(controller, root), root)
        inside = not path.startswith(os.pardir)
        yield Path(mount_point), Path(mount_point, path) if inside else Path(mount_point)


def _unescaped(field: str) -> str:
    """Decodes the octal escapes of spaces and other separators."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _read(file: Path) -> str:
    """Reads one of the kernel's files; "" if it does not exist or is not readable."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
