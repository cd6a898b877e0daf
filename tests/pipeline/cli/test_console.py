"""What a person sees of a run, in a terminal and in a plain log."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

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


def _stage(name: str = "Other", state: str = "COMPLETE") -> Stage:
    return Stage(name=name, execution_id=1, state=state, seconds=1.25)


def test_each_stage_gets_a_line_with_its_state_and_time() -> None:
    stream = io.StringIO()
    console = RunConsole(make_console(stream))
    for state in ("COMPLETE", "CACHED", "FAILED"):
        console.ended(_stage(state=state))
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        ["Other", "done", "1.2", "s"],
        ["Other", "cached", "1.2", "s"],
        ["Other", "FAILED", "1.2", "s"],
    ]


def test_plain_log_gets_a_line_for_each_epoch_and_no_control_codes() -> None:
    stream = io.StringIO()
    logger = logging.getLogger(PROGRESS_LOGGER)
    with RunConsole(make_console(stream)).live():
        for step in (1, 2):
            progress = TrainingProgress(
                epoch=1, epochs=3, step=step, steps=2, metrics={"loss": 0.5}
            )
            logger.info("", extra={"progress": progress})
    assert stream.getvalue().split() == ["epoch", "1/3", "loss", "0.5000"]


def test_terminal_shows_the_live_stage_and_nothing_that_libraries_print(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    log = tmp_path / "log"
    subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL, str(log)],
        stdout=terminal,
        stderr=terminal,
        check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    assert "Trainer" in shown
    assert "flood" not in shown
    assert "flood from a library" in log.read_text()


def test_square_brackets_are_shown_as_they_are() -> None:
    stream = io.StringIO()
    make_console(stream).print("a [while running 'Write'] b [/b]")
    assert stream.getvalue() == "a [while running 'Write'] b [/b]\n"


def test_gates_show_as_a_table() -> None:
    stream = io.StringIO()
    rows = [("accuracy", "0.95", "0.9", "FAILED", "9 of 10 were right")]
    make_console(stream).print(gate_table(rows))
    header, row = stream.getvalue().splitlines()
    assert header.split() == ["gate", "threshold", "value", "verdict", "detail"]
    assert row.split() == ["accuracy", "0.95", "0.9", "FAILED", *["9", "of", "10", "were", "right"]]


def test_file_takes_what_is_printed_and_logged_and_gives_it_back(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log"
    with output_to_log_file(log, verbose=False) as stream:
        os.write(2, b"from C++\n")
        logging.getLogger("somewhere").info("from Python")
        stream.write("for the person\n")
    logging.getLogger("somewhere").info("afterwards")
    text = log.read_text()
    assert "from C++" in text
    assert "INFO somewhere from Python" in text
    assert "for the person" not in text
    assert "afterwards" not in text
