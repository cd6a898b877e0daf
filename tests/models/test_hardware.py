"""The processors, GPUs and instructions that a process may use."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tensorflow as tf

from models.hardware import (
    describe_hardware,
    limit_threads,
    supports_bfloat16,
    usable_processors,
)

ALLOWED = len(os.sched_getaffinity(0))

VERSION_1 = (
    "30 24 0:26 / /sys ro,nosuid - sysfs sysfs ro\n"
    "35 30 0:30 {root} {mount}/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "36 30 0:31 {root} {mount}/cpuset rw shared:10 - cgroup cgroup rw,cpuset\n"
)
VERSION_2 = "30 24 0:26 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def write_process(directory: Path, mounts: str, groups: str) -> Path:
    """Writes the kernel's files about a process."""
    process = directory / "process"
    process.mkdir()
    (process / "mountinfo").write_text(mounts)
    (process / "cgroup").write_text(groups)
    return process


def write_group(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture
def many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 64 processors, so that limits above this machine's number show."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)))


@pytest.mark.usefixtures("many_processors")
@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 64),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1000000 10000", 64),
    ],
)
def test_limits_of_version_2_are_rounded_up(tmp_path: Path, limit: str, expected: int) -> None:
    mounts = VERSION_2.format(root="/", mount=tmp_path / "mount")
    write_group(tmp_path / "mount" / "user.slice" / "run", cpu__max=limit)
    process = write_process(tmp_path, mounts, "0::/user.slice/run\n")
    assert usable_processors(process) == expected


@pytest.mark.usefixtures("many_processors")
def test_smallest_limit_of_the_parents_counts(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    write_group(tmp_path, cpu__max="100000 100000")  # Outside the mount point.
    write_group(mount / "a", cpu__max="300000 100000")
    write_group(mount / "a" / "b", cpu__max="max 100000")
    write_group(mount / "a" / "b" / "c", cpu__max="800000 100000")
    process = write_process(tmp_path, VERSION_2.format(root="/", mount=mount), "0::/a/b/c\n")
    assert usable_processors(process) == 3


@pytest.mark.usefixtures("many_processors")
@pytest.mark.parametrize(("quota", "expected"), [("-1", 64), ("400000", 4), ("250000", 3)])
def test_limits_of_version_1_are_rounded_up(tmp_path: Path, quota: str, expected: int) -> None:
    mount = tmp_path / "mount"
    mounts = VERSION_1.format(root="/", mount=mount)
    write_group(mount / "cpu,cpuacct" / "g", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")
    process = write_process(tmp_path, mounts, "5:cpuset:/other\n4:cpu,cpuacct:/g\n0::/\n")
    assert usable_processors(process) == expected


@pytest.mark.usefixtures("many_processors")
@pytest.mark.parametrize("path", ["/pods/pod 1", "/pods/pod 1/task", "/", "/elsewhere"])
def test_container_sees_its_own_group_at_the_mount_point(tmp_path: Path, path: str) -> None:
    mount = tmp_path / "mount"
    mounts = VERSION_1.format(root="/pods/pod\\0401", mount=mount)
    group = mount / "cpu,cpuacct"
    write_group(group, cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    process = write_process(tmp_path, mounts, f"4:cpu,cpuacct:{path}\n")
    assert usable_processors(process) == 2


def test_affinity_counts_if_it_allows_fewer_processors_than_the_groups(tmp_path: Path) -> None:
    write_group(tmp_path / "mount", cpu__max=f"{(ALLOWED + 1) * 100000} 100000")
    mounts = VERSION_2.format(root="/", mount=tmp_path / "mount")
    assert usable_processors(write_process(tmp_path, mounts, "0::/\n")) == ALLOWED
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_processors() == 1
        assert ", 1 thread, " in describe_hardware()
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_description_has_the_threads_that_the_user_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "77")
    assert ", 77 threads, " in describe_hardware()


def test_process_without_control_groups_is_limited_by_its_affinity(tmp_path: Path) -> None:
    assert usable_processors(tmp_path / "none") == ALLOWED


def test_machine_without_limits_keeps_tensorflows_threads() -> None:
    if usable_processors() < ALLOWED:
        pytest.skip("this machine's control groups limit the processor time")
    environ: dict[str, str] = {}
    limit_threads(environ)
    assert environ == {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}


THREADS = """
import os, sys
from models.hardware import limit_threads, usable_processors
if sys.argv[1] == "limited":
    limit_threads()
import tensorflow as tf
tf.linalg.matmul(tf.ones((64, 64)), tf.ones((64, 64)))
print(usable_processors(), len(os.listdir("/proc/self/task")))
"""
"""Prints the number of usable processors and of threads after an operation."""


@contextmanager
def processor_limit(processors: float) -> Iterator[Path]:
    """Creates a control group with a limit, and yields the file that takes its processes."""
    roots = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
    root = next((root for root in roots if (root / "cgroup.procs").is_file()), roots[0])
    group = root / f"mnist-test-{os.getpid()}"
    microseconds = round(processors * 100_000)
    try:
        group.mkdir()
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{microseconds} 100000")
        else:
            (group / "cpu.cfs_quota_us").write_text(str(microseconds))
    except OSError as error:
        pytest.skip(f"needs permission to limit processor time with control groups: {error}")
    try:
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def run_limited(processes: Path, *arguments: str, **environ: str) -> list[int]:
    """Runs THREADS in a control group and returns the printed numbers."""
    ended = subprocess.run(
        ["sh", "-c", 'echo $$ >"$0" && exec "$@"', processes, *_python(*arguments)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environ,
    )
    return [int(word) for word in ended.stdout.split()]


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-c", THREADS, *arguments]


@pytest.mark.skipif(ALLOWED == 1, reason="needs two processors")
def test_tensorflow_starts_fewer_threads_in_a_limited_control_group() -> None:
    with processor_limit(1) as processes:
        processors, unlimited = run_limited(processes, "unlimited")
        assert processors == 1
        assert run_limited(processes, "limited")[1] < unlimited
        chosen = run_limited(processes, "limited", TF_NUM_INTRAOP_THREADS=str(ALLOWED + 9))
        assert chosen[1] > unlimited


@pytest.mark.skipif(ALLOWED == 1, reason="needs two processors")
def test_tensorflow_respects_the_affinity_without_help() -> None:
    threads = []
    for command in ([], ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]):
        ended = subprocess.run(
            [*command, *_python("unlimited")], capture_output=True, text=True, check=True
        )
        threads.append(int(ended.stdout.split()[1]))
    assert threads[1] < threads[0]


def test_processor_is_described_with_its_instructions_for_bfloat16(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Abacus 9000\n\nmodel name\t: Other\n")
    threads = f"{ALLOWED} thread{'' if ALLOWED == 1 else 's'}"
    assert describe_hardware(file).startswith(f"Abacus 9000, {threads}, ")
    file.write_text("model name\t: Abacus 9000\nflags\t\t: fpu avx512_bf16 amx_bf16\n")
    assert describe_hardware(file).startswith(f"Abacus 9000 with AMX BF16, {threads}, ")


def test_unnamed_processor_is_described_by_its_architecture(tmp_path: Path) -> None:
    assert describe_hardware(tmp_path / "none").startswith(f"{platform.machine()}, ")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f avx512_bf16 avx512_vnni", True),
        ("fpu avx2 avx512f amx_bf16 amx_tile", True),
        ("fpu avx2 avx512f avx512_vnni amx_int8", False),
    ],
)
def test_bfloat16_needs_a_processor_with_its_instructions(
    flags: str, expected: bool, tmp_path: Path
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"model name\t: Abacus\nflags\t\t: {flags}\nvmx flags\t: amx_bf16_x\n")
    assert supports_bfloat16(file) is expected


def test_bfloat16_is_unsupported_if_the_processor_is_unknown(tmp_path: Path) -> None:
    assert not supports_bfloat16(tmp_path / "none")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([(8, 0)], True), ([(12, 0), (8, 6)], True), ([(7, 5)], False), ([(9, 0), (7, 5)], False)],
)
def test_bfloat16_depends_on_the_gpus_if_there_are_any(
    capabilities: list[tuple[int, int]],
    expected: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The devices are stand-ins in the form of TensorFlow's, because tests have no GPU."""
    details = {f"GPU:{i}": {"compute_capability": c} for i, c in enumerate(capabilities)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: list(details))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    file = tmp_path / "cpuinfo"
    file.write_text("flags\t\t: avx512_bf16\n")
    assert supports_bfloat16(file) is expected
