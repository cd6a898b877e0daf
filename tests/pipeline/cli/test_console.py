"""The progress of a run, in a terminal and in a plain log."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

from components.model_gate.checks import Row
from models.progress import PROGRESS_LOGGER, TrainingProgress
from pipeline.cli.console import RunConsole, gate_table, make_console, output_to_log_file
from pipeline.runs.metadata import Stage

IN_A_TERMINAL = """
import sys, time
from pathlib import Path
from pipeline.cli.console import RunConsole, make_console, output_to_log_file
with output_to_log_file(Path(sys.argv[1]), verbose=False) as stream:
    with RunConsole(make_console(stream)).live() as console:
        console.began("Trainer")
        print("flood from a library")
        time.sleep(0.5)
"""


SPINNER = """
import os, time
from pipeline.cli.console import spinner
with spinner("Loading the model"):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    time.sleep(0.5)
"""


def _stage(name: str = "Other", state: str = "COMPLETE") -> Stage:
    return Stage(name=name, execution_id=1, state=state, seconds=1.25)


def test_each_stage_gets_a_line_with_its_state_and_time() -> None:
    stream = io.StringIO()
    console = RunConsole(make_console(stream))
    for state in ("COMPLETE", "CACHED", "FAILED", "RUNNING", "CANCELED"):
        console.ended(_stage(state=state))
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        ["Other", "done", "1.2", "s"],
        ["Other", "cached", "1.2", "s"],
        ["Other", "FAILED", "1.2", "s"],
        ["Other", "interrupted", "1.2", "s"],
        ["Other", "skipped", "1.2", "s", "model", "rejected"],
    ]


def test_plain_log_gets_a_line_for_each_epoch_and_no_control_codes() -> None:
    stream = io.StringIO()
    logger = logging.getLogger(PROGRESS_LOGGER)
    with RunConsole(make_console(stream)).live():
        for step in (1, 2):
            progress = TrainingProgress(
                epoch=1, epochs=3, step=step, steps=2, metrics={"val_accuracy": 0.5}
            )
            logger.info("", extra={"progress": progress})
    assert stream.getvalue().split() == ["epoch", "1/3", "validation", "accuracy", "50.00%"]


def _shown_in_a_terminal(code: str, *arguments: str) -> str:
    controller, terminal = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=terminal,
        stderr=terminal,
        check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    return shown


def test_terminal_shows_the_live_stage_and_no_output_of_libraries(tmp_path: Path) -> None:
    log = tmp_path / "log"
    shown = _shown_in_a_terminal(IN_A_TERMINAL, str(log))
    assert "Trainer" in shown
    assert "flood" not in shown
    assert "flood from a library" in log.read_text()


def test_spinner_shows_in_a_terminal_even_if_the_block_hides_standard_error() -> None:
    assert "Loading the model" in _shown_in_a_terminal(SPINNER)


def test_spinner_shows_nothing_without_a_terminal() -> None:
    ended = subprocess.run([sys.executable, "-c", SPINNER], capture_output=True, check=True)
    assert (ended.stdout, ended.stderr) == (b"", b"")


def test_square_brackets_are_shown_unchanged() -> None:
    stream = io.StringIO()
    make_console(stream).print("a [while running 'Write'] b [/b]")
    assert stream.getvalue() == "a [while running 'Write'] b [/b]\n"


def test_gates_show_as_a_table() -> None:
    stream = io.StringIO()
    gates = [
        ("model", Row("accuracy", "90%", "<", "95%", "9 of 10"), False),
        ("model", Row("baseline", "", "", "", "none"), True),
    ]
    make_console(stream).print(gate_table(gates))
    header, accuracy, baseline = stream.getvalue().splitlines()
    assert header.split() == ["gate", "check", "result", "verdict", "detail"]
    assert accuracy.split() == ["model", "accuracy", "90%", "<", "95%", "FAILED", "9", "of", "10"]
    assert baseline.split() == ["model", "baseline", "-", "passed", "none"]


def test_output_goes_to_the_log_file_until_the_end_of_the_block(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log"
    with output_to_log_file(log, verbose=False) as stream:
        os.write(2, b"from C++\n")
        logging.getLogger("somewhere").info("from Python")
        stream.write("for the user\n")
    logging.getLogger("somewhere").info("afterwards")
    text = log.read_text()
    assert "from C++" in text
    assert "INFO somewhere from Python" in text
    assert "for the user" not in text
    assert "afterwards" not in text
