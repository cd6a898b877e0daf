"""The description of the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from models.hardware import describe_hardware


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
