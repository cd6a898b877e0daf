"""Console output: the progress of a run, its gates, and a spinner while loading.

In a terminal, the finished stages are followed by a live line for the running stage. Without a
terminal, one line per stage and one line per epoch are printed.
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
from pipeline.runs.summary import describe_stage, format_metrics

if TYPE_CHECKING:
    from components.model_gate.checks import Row
    from pipeline.runs.metadata import Stage

WARNING = "bold yellow"
"""Style of warnings."""

_PLAIN_WIDTH = 120
_STYLES = {
    "COMPLETE": ("done", "green"),
    "CACHED": ("cached", "cyan"),
    "CANCELED": ("skipped", "yellow"),
    "RUNNING": ("interrupted", "bold yellow"),
}
"""Label and style of an ended stage, by its state in ML Metadata."""


class RunConsole(logging.Handler):
    """Shows the stages of a run and the training progress.

    This is a `pipeline.runs.local_runner.Observer`.

    It is also a logging handler, because the Trainer reports its progress in log records.
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
            # The output of libraries belongs in the log file.
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
        """Shows the name of a stage in the live line."""
        self._progress.reset(self._task, description=name, total=None, note="")

    def ended(self, stage: Stage) -> None:
        """Prints the line of an ended stage."""
        word, style = _STYLES.get(stage.state, (stage.state, "bold red"))
        line = Text.assemble(
            f"{stage.name:<18}",
            (f"{word:<11}", style),
            f"{stage.seconds:7.1f} s  ",
            describe_stage(stage),
        )
        line.rstrip()
        self.console.print(line, soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Shows the training progress attached to a log record."""
        progress: TrainingProgress | None = getattr(record, "progress", None)
        if progress is None:
            return
        metrics = "  ".join(format_metrics(progress.metrics))
        note = f"epoch {progress.epoch}/{progress.epochs}  {metrics}"
        done = (progress.epoch - 1) * progress.steps + progress.step
        self._progress.update(
            self._task, total=progress.epochs * progress.steps, completed=done, note=note
        )
        if not self.console.is_terminal and progress.step == progress.steps:
            self.console.print(f"{'':<18}{note}", soft_wrap=True)


def make_console(stream: TextIO) -> Console:
    """Creates a console. If the stream is not a terminal, it is wide and has no control codes."""
    return Console(
        file=stream,
        width=None if stream.isatty() else _PLAIN_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Shows a spinner and a text, such as "Loading the model", until the end of the block.

    Both appear immediately on standard error, even if the block redirects it. If standard error is
    not a terminal, nothing appears.
    """
    if not sys.stderr.isatty():
        yield
        return
    with _duplicate(sys.stderr.fileno()) as stream, make_console(stream).status(text):
        yield


def _duplicate(descriptor: int) -> TextIO:
    return os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace", buffering=1)


@contextmanager
def output_to_log_file(log_file: Path, verbose: bool, stream: int = 1) -> Iterator[TextIO]:
    """Redirects all printed or logged output, including that of C++ code, to a file.

    Args:
      log_file: created, including its parent directories.
      verbose: whether to copy Python's log records to standard error.
      stream: descriptor of the original stream to yield: 1 or 2.

    Yields:
      The original standard output or standard error, for the caller's own output.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    original = _duplicate(stream)
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
            yield original
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
        original.close()


def gate_table(gates: Iterable[tuple[str, Row, bool]]) -> Table:
    """Formats the checks that `pipeline.runs.summary.gates` yields."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("gate", "check", "result", "verdict", "detail"):
        table.add_column(title, overflow="fold")
    for gate, row, passed in gates:
        result = f"{row.value} {row.sign} {row.threshold}" if row.value else "-"
        verdict = Text("passed", "green") if passed else Text("FAILED", "bold red")
        table.add_row(gate, row.label, result, verdict, row.detail)
    return table
