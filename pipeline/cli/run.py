"""`mnist-pipeline run`: runs the pipeline on this machine."""

from __future__ import annotations

import logging
import resource
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from components.common.errors import DataRejectedError, ModelRejectedError
from components.example_gen.sources import (
    ResolvedSource,
    SourceUnavailableError,
    data_stamp,
    resolve_source,
)
from models.definition import DATASET
from pipeline.cli.console import (
    WARNING,
    RunConsole,
    gate_table,
    make_console,
    output_to_log_file,
)
from pipeline.cli.data import print_warning, with_data
from pipeline.cli.options import settings_options
from pipeline.exit_status import ExitStatus
from pipeline.runs.root_lock import PipelineRootBusyError, locked
from pipeline.runs.summary import gates, summarize
from pipeline.settings import (
    SCHEMA_FILE,
    Settings,
    SettingsError,
    check_schema,
    make_settings,
    read_settings_file,
)
from pipeline.stages import BASELINE, EVALUATOR, EXAMPLE_GEN, PUSHER, REPORT

if TYPE_CHECKING:
    from pipeline.runs.local_runner import RunResult
    from pipeline.runs.metadata import Stage

_log = logging.getLogger(__name__)

_ERROR = "bold red"


@click.command()
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or TOML file with settings. Options given here override it.",
)
@click.option("--verbose", is_flag=True, help="Show TFX's log here, too, not only in the log file.")
@settings_options
def run(settings_file: Path | None, verbose: bool, **options: str | None) -> None:
    """Runs the pipeline on this machine, from the data to a pushed model.

    \b
    Exit status:
      0    model pushed, or already the newest release
      1    run failed
      2    wrong usage or settings
      3    model rejected; nothing was pushed
      4    data rejected; nothing was trained
      130  interrupted
    """  # noqa: D301 - click wants the character
    given = {name: value for name, value in options.items() if value is not None}
    file_values = read_settings_file(settings_file) if settings_file else {}
    sys.exit(run_pipeline(make_settings(file_values, given), verbose))


def run_pipeline(settings: Settings, verbose: bool) -> ExitStatus:
    """Runs the pipeline in this process, and shows its progress and results.

    Args:
      settings: of the run.
      verbose: whether to show TFX's log.

    Raises:
      SettingsError: the settings don't suit a local run, or the data.
    """
    _check_for_local_run(settings)
    console = make_console(sys.stdout)
    started = datetime.now().astimezone()
    try:
        source = resolve_source(settings.data, settings.data_dir)
        with locked(settings.pipeline_root):
            log_file = settings.pipeline_root / "logs" / f"{started:%Y%m%dT%H%M%S}.log"
            _print_header(console, settings, source, log_file)
            result, report = _run_logged(settings, source, log_file, verbose)
    except (SourceUnavailableError, PipelineRootBusyError, OSError) as error:
        _print_error(console, f"Error: {error}")
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again to resume.")
        return ExitStatus.INTERRUPTED
    seconds = (datetime.now().astimezone() - started).total_seconds()
    _print_summary(console, result, report, seconds)
    print_warning(console, source)
    return _conclude(console, result, report, log_file)


def _check_for_local_run(settings: Settings) -> None:
    if settings.baseline == "pushed":
        raise SettingsError("baseline: pushed is for Kubeflow; choose newest or none here")
    check_schema(settings.schema_file or SCHEMA_FILE)


def _run_logged(
    settings: Settings, source: ResolvedSource, log_file: Path, verbose: bool
) -> tuple[RunResult, Path | str]:
    """Loads TFX, runs the pipeline and draws its report, with all output in the log file."""
    with (
        output_to_log_file(log_file, verbose) as stream,
        RunConsole(make_console(stream), live=not verbose).live() as run_console,
    ):
        try:
            result = _load_and_run(settings, source, run_console)
        except Exception:
            _log.exception("The run could not begin")
            raise
        if result.error is not None:
            _log.error("The run failed", exc_info=result.error)
        return result, _draw_report(settings, result)


def _load_and_run(settings: Settings, source: ResolvedSource, run_console: RunConsole) -> RunResult:
    run_console.began("loading TFX")
    from pipeline.cache_keys import add_cache_keys
    from pipeline.graph import create_pipeline
    from pipeline.runs.local_runner import run_locally

    pipeline = create_pipeline(with_data(settings, source, run_console))
    outside = {
        EXAMPLE_GEN: data_stamp(source.source, source.data_dir),
        # The served releases may have changed, so the Pusher is never cached.
        PUSHER: uuid.uuid4().hex,
    }
    add_cache_keys(pipeline, outside)
    return run_locally(pipeline, _TestSizeCheck(run_console, settings.gate.min_test_examples))


@dataclass(frozen=True)
class _TestSizeCheck:
    """Ends a run whose model is sure to be rejected for lack of test images, before training.

    It follows the run (`pipeline.runs.local_runner.Observer`) on behalf of the console.
    """

    console: RunConsole
    least: int

    def began(self, name: str) -> None:
        self.console.began(name)

    def ended(self, stage: Stage) -> None:
        self.console.ended(stage)
        if stage.name != EXAMPLE_GEN or not stage.succeeded:
            return
        count = stage.outputs["examples"][0].properties["count_test"]
        if count < self.least:
            raise SettingsError(
                f"min_test_examples: expected at least {self.least:,} test images, received "
                f"{count:,}; raise --limit or lower --min-test-examples"
            )


def _draw_report(settings: Settings, result: RunResult) -> Path | str:
    """Path of the report page, else a warning; an empty one if the run ended before the report."""
    if REPORT not in result.stages or not result.stages[REPORT].succeeded:
        return ""
    from pipeline.runs.page import write_newest

    try:
        return write_newest(settings.pipeline_root)
    except Exception as error:  # noqa: BLE001 - the page must not change the outcome of the run
        _log.exception("The report page could not be drawn")
        reason = " ".join(str(error).split())
        return f"WARNING: could not draw the page: {type(error).__name__}: {reason}"


def _print_header(
    console: Console, settings: Settings, source: ResolvedSource, log_file: Path
) -> None:
    training = settings.training
    console.print(
        f"{DATASET.title} pipeline: data {source.source}, architecture {training.architecture}, "
        f"epochs {training.epochs}, accuracy threshold {settings.gate.accuracy_threshold}",
        soft_wrap=True,
    )
    console.print(f"Log: {log_file}", soft_wrap=True)
    print_warning(console, source)


def _print_summary(console: Console, result: RunResult, report: Path | str, seconds: float) -> None:
    console.print()
    rows = list(gates(result.stages))
    if rows:
        console.print(gate_table(rows))
        console.print()
    for name, value in summarize(result.stages):
        _print_row(console, name, value)
    if report:
        _print_row(console, "report", str(report), "" if isinstance(report, Path) else WARNING)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    _print_row(console, "total time", f"{seconds:.1f} s, peak memory {memory:.2f} GiB")


def _print_row(console: Console, name: str, value: str, style: str = "") -> None:
    console.print(f"{name:<13}{value}", style=style, soft_wrap=True)


def _conclude(
    console: Console, result: RunResult, report: Path | str, log_file: Path
) -> ExitStatus:
    """Prints why the run did not succeed, if so; returns the exit status."""
    if result.succeeded:
        return ExitStatus.SUCCESS
    if isinstance(result.error, SettingsError):
        raise result.error
    # A rejection counts only if ML Metadata has a failed stage, too.
    if result.failed and isinstance(result.error, DataRejectedError):
        _print_error(console, f"Data rejected: {result.error}")
        return ExitStatus.DATA_REJECTED
    if result.failed and isinstance(result.error, ModelRejectedError):
        where = f" Report: {report}" if isinstance(report, Path) else ""
        _print_error(console, f"Model rejected: {result.error}{where}")
        return ExitStatus.MODEL_REJECTED
    _print_error(console, _failure(result, log_file))
    return ExitStatus.FAILED


def _failure(result: RunResult, log_file: Path) -> str:
    name = result.failed.name if result.failed else "pipeline"
    reason = (str(result.error).strip().splitlines() or [""])[-1]
    hint = ""
    if name == EVALUATOR and _had_baseline(result):
        hint = "; if the baseline can no longer be evaluated, add --baseline none"
    return f"Error: {name}: {type(result.error).__name__}: {reason} (see {log_file}){hint}"


def _had_baseline(result: RunResult) -> bool:
    return BASELINE in result.stages and "model" in result.stages[BASELINE].outputs


def _print_error(console: Console, message: str) -> None:
    console.print(message, style=_ERROR, soft_wrap=True)
