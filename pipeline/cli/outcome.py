"""The outcome of a run: exit status, console output and JSON."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from components.common.errors import DataRejectedError, ModelRejectedError, describe_os_error
from pipeline.cli.console import WARNING, gate_table
from pipeline.cli.data import print_warning
from pipeline.cli.next_steps import after_rejection, after_success
from pipeline.exit_status import ExitStatus
from pipeline.runs.summary import gates, read_run_verdict, run_facts, summarize
from pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pipeline.runs.local_runner import RunResult

_ERROR = "bold red"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes:
      status: exit status of the command.
      error: the reason why the run did not succeed, in one line; None if it succeeded.
      started: start time, with the local time zone.
      seconds: total time.
      log_file: the run's log file.
      warning: warning about the data source, if any.
      result: None if the run ended before its first stage.
      report: path of the report, or a warning if rendering failed; empty without a report.
    """

    status: ExitStatus
    error: str | None
    started: datetime
    seconds: float
    log_file: Path
    warning: str | None = None
    result: RunResult | None = None
    report: Path | str = ""

    def to_json(self) -> str:
        """Returns the JSON object documented in the help of `run`."""
        facts = {
            "status": self.status.name.lower(),
            "exit_status": int(self.status),
            "error": self.error,
            "warning": self.warning,
            "run_id": self.result.run_id if self.result else None,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            **run_facts(self.result.stages if self.result else {}),
            "report": str(self.report) if isinstance(self.report, Path) else None,
            "log": str(self.log_file) if self.log_file.exists() else None,
        }
        return json.dumps(facts, indent=2)


def classify_result(
    result: RunResult, report: Path | str, log_file: Path
) -> tuple[ExitStatus, str | None]:
    """Returns the exit status of a run, and an error in one line unless the run succeeded."""
    error, failed = result.error, result.failed
    if error is None:
        return ExitStatus.SUCCESS, None
    if isinstance(error, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED, interrupted(failed.name if failed else "")
    if isinstance(error, SettingsError):
        return ExitStatus.USAGE, str(error)
    # A rejection counts only if ML Metadata also has a stage that did not succeed.
    if failed and isinstance(error, DataRejectedError):
        return ExitStatus.DATA_REJECTED, f"Data rejected: {error}"
    if failed and isinstance(error, ModelRejectedError):
        where = f" Report: {report}" if isinstance(report, Path) else ""
        return ExitStatus.MODEL_REJECTED, f"Model rejected: {error}{where}"
    name = failed.name if failed else "pipeline"
    return ExitStatus.FAILED, describe_failure(name, error, log_file)


def interrupted(stage: str) -> str:
    """Describes an interruption. `stage` is empty before the first stage."""
    return f"Interrupted{f' in {stage}' if stage else ''}. Run the same command again to resume."


def describe_failure(name: str, error: Exception, log_file: Path) -> str:
    """Describes an error of a stage, or of the pipeline as a whole, in one line."""
    if isinstance(error, OSError):
        reason = describe_os_error(error)
    else:
        reason = (str(error).strip().splitlines() or [""])[-1]
    return f"Error: {name}: {type(error).__name__}: {reason} (see {log_file})"


def print_outcome(console: Console, outcome: Outcome, settings: Settings) -> None:
    """Prints the gates, the results, the error if any, and the next steps."""
    if outcome.result and outcome.status != ExitStatus.INTERRUPTED:
        _print_results(console, outcome, outcome.result)
    print_warning(console, outcome.warning)
    if outcome.error and outcome.status != ExitStatus.USAGE:  # `main` prints usage errors.
        style = WARNING if outcome.status == ExitStatus.INTERRUPTED else _ERROR
        console.print(outcome.error, style=style, soft_wrap=True)
    if outcome.status == ExitStatus.SUCCESS:
        _print_next(console, after_success(settings))
    if outcome.status == ExitStatus.MODEL_REJECTED and outcome.result:
        verdict = read_run_verdict(outcome.result.stages)
        _print_next(console, after_rejection(settings, verdict))


def _print_results(console: Console, outcome: Outcome, result: RunResult) -> None:
    console.print()
    rows = list(gates(result.stages))
    if rows:
        console.print(gate_table(rows))
        console.print()
    verdict = read_run_verdict(result.stages)
    if verdict and verdict.warning:
        console.print(verdict.warning, style=WARNING, soft_wrap=True)
    for name, value in summarize(result.stages):
        _print_row(console, name, value)
    if outcome.report:
        style = "" if isinstance(outcome.report, Path) else WARNING
        _print_row(console, "report", str(outcome.report), style)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    _print_row(console, "total time", f"{outcome.seconds:.1f} s, peak memory {memory:.2f} GiB")
    console.print()


def _print_row(console: Console, name: str, value: str, style: str = "") -> None:
    console.print(f"{name:<13}{value}", style=style, soft_wrap=True)


def _print_next(console: Console, lines: Iterable[str]) -> None:
    console.print("Next:")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True)
