"""The description of the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
import tensorflow as tf

from models.hardware import describe_hardware, supports_bfloat16


def test_processor_and_threads_are_named(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Abacus 9000\n\nmodel name\t: Other\n")
    threads = len(os.sched_getaffinity(0))
    plural = "" if threads == 1 else "s"
    assert describe_hardware(file).startswith(f"Abacus 9000, {threads} thread{plural}, ")


def test_threads_are_those_that_the_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert ", 1 thread, " in describe_hardware()
    finally:
        os.sched_setaffinity(0, allowed)


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
