"""Output for people while a pipeline runs: a line for each stage, and a progress bar.

In a terminal, a live line for the running stage follows those of the finished stages. In a plain
log (no TTY) there are only whole lines, one for each stage and one for each epoch.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from models.progress import PROGRESS_LOGGER, TrainingProgress
from pipeline.runs.summary import describe_stage

if TYPE_CHECKING:
    from pipeline.runs.metadata import Stage

WARNING = "bold yellow"
"""Style of warnings."""

_PLAIN_WIDTH = 120
_STYLES = {"COMPLETE": ("done", "green"), "CACHED": ("cached", "cyan")}


class RunConsole(logging.Handler):
    """Shows the stages of a run (`pipeline.runs.local_runner.Observer`) and training progress.

    It is a logging handler because the Trainer reports its progress in log records.
    """

    def __init__(self, console: Console, live: bool = True) -> None:
        """Shows a live line only if `live` is true and the console is a terminal."""
        super().__init__(logging.INFO)
        self.console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (live and console.is_terminal),
            # Output of libraries belongs in the log file.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None, note="")

    @contextmanager
    def live(self) -> Iterator[RunConsole]:
        """Shows the live line and the training progress until the end of the block."""
        logger = logging.getLogger(PROGRESS_LOGGER)
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        try:
            with self._progress:
                yield self
        finally:
            logger.removeHandler(self)

    def began(self, name: str) -> None:
        """Shows this name in the live line."""
        self._progress.reset(self._task, description=name, total=None, note="")

    def ended(self, stage: Stage) -> None:
        """Prints the stage's line."""
        word, style = _STYLES.get(stage.state, (stage.state, "bold red"))
        line = Text.assemble(
            f"{stage.name:<18}",
            (f"{word:<7}", style),
            f"{stage.seconds:7.1f} s  ",
            describe_stage(stage),
        )
        self.console.print(line, soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Shows the progress in a log record of the Trainer."""
        progress: TrainingProgress | None = getattr(record, "progress", None)
        if progress is None:
            return
        metrics = "  ".join(f"{key} {value:.4f}" for key, value in progress.metrics.items())
        note = f"epoch {progress.epoch}/{progress.epochs}  {metrics}"
        done = (progress.epoch - 1) * progress.steps + progress.step
        self._progress.update(
            self._task, total=progress.epochs * progress.steps, completed=done, note=note
        )
        if not self.console.is_terminal and progress.step == progress.steps:
            self.console.print(f"{'':<18}{note}", soft_wrap=True)


def make_console(stream: TextIO) -> Console:
    """Creates a console; wide, without colors and control codes, if the stream is no terminal."""
    return Console(
        file=stream,
        width=None if stream.isatty() else _PLAIN_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


@contextmanager
def output_to_log_file(log_file: Path, verbose: bool) -> Iterator[TextIO]:
    """Sends everything printed or logged, also by C++ code, to a file until the end of the block.

    Args:
      log_file: is created, with its parent directories.
      verbose: whether to copy Python's log records to standard error.

    Yields:
      The original standard output.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    stream = os.fdopen(os.dup(saved[0]), "w", encoding="utf-8", errors="replace", buffering=1)
    handlers: list[logging.Handler] = []
    root = logging.getLogger()
    level = root.level
    try:
        with log_file.open("ab", buffering=0) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            handlers.append(logging.FileHandler(log_file))
            if verbose:
                handlers.append(logging.StreamHandler(os.fdopen(os.dup(saved[1]), "w")))
            formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
            for handler in handlers:
                handler.setFormatter(formatter)
                root.addHandler(handler)
            root.setLevel(logging.INFO)
            yield stream
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        stream.close()


def gate_table(rows: Iterable[tuple[str, str, str, str, str]]) -> Table:
    """Formats rows of `pipeline.runs.summary.gates`."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("gate", "threshold", "value", "verdict", "detail"):
        table.add_column(title, overflow="fold")
    for *cells, verdict, detail in rows:
        style = "green" if verdict == "passed" else "bold red"
        table.add_row(*cells, Text(verdict, style), detail)
    return table
