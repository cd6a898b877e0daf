"""The entry point: errors in the data definition, and start-up without heavy imports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.forks import ROOT, Fork

from pipeline.cli.main import main
from pipeline.exit_status import ExitStatus

DEFINITION = (ROOT / "models" / "definition.py").read_text()


@pytest.mark.parametrize("command", ["--help", "run"])
def test_errors_in_the_data_definition_get_one_line_each(tmp_path: Path, command: str) -> None:
    broken = DEFINITION.replace("    name=", "    color=1,\n    shape=2,\n    name=", 1)
    ended = Fork.make(tmp_path, broken).command(command)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "Error: models/definition.py: color: Extra inputs are not permitted",
        "Error: models/definition.py: shape: Extra inputs are not permitted",
    ]


def test_error_about_several_fields_of_the_data_definition_gets_a_line(tmp_path: Path) -> None:
    sample = 'bundled_sample={"dataset": "other/1.0.0", "package": "p", "load": "models.x"},'
    broken = re.sub(r"bundled_sample=BundledSample\(.*?\n    \),", sample, DEFINITION, flags=re.S)
    if broken == DEFINITION:
        broken = DEFINITION.replace("    name=", f"    {sample}\n    name=", 1)
    ended = Fork.make(tmp_path, broken).command("--help")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: models/definition.py: expected a bundled_sample of ")


def test_every_command_sets_defaults_for_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "restored after the test")
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH")
    monkeypatch.setattr(sys, "argv", ["mnist-pipeline", "releases", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def _last_line(code: str) -> str:
    """Runs Python code in a new process and returns the last line of its standard output."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()[-1]


def test_help_imports_neither_tensorflow_nor_tfx() -> None:
    code = (
        "import sys; from pipeline.cli.commands import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "print(sorted({'tensorflow', 'tfx', 'ml_metadata', 'kfp'} & sys.modules.keys()))"
    )
    assert _last_line(code) == "[]"


def test_exit_skips_garbage_collection() -> None:
    code = (
        "import atexit, gc, sys; from pipeline.cli.main import main\n"
        "atexit.register(lambda: print(len(gc.get_objects())))\n"
        "sys.argv = ['mnist-pipeline', '--version']; main()"
    )
    assert int(_last_line(code)) < 1000


def test_interrupt_outside_a_run_has_its_own_exit_status() -> None:
    code = (
        "import signal, click; from pipeline.cli.commands import cli\n"
        "stop = lambda: signal.raise_signal(signal.SIGINT)\n"
        "cli.add_command(click.Command('wait', callback=stop))\n"
        "cli(['wait'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == ExitStatus.INTERRUPTED
    assert ended.stderr == "Interrupted.\n"
