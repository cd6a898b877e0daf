"""`mnist-pipeline run`: runs the pipeline on this machine."""

from __future__ import annotations

import logging
import resource
import sys
import uuid
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from components.common.errors import DataRejectedError, ModelRejectedError
from components.example_gen.sources import (
    TFDS,
    ResolvedSource,
    SourceUnavailableError,
    data_stamp,
    resolve_source,
)
from pipeline.cli.console import RunConsole, gate_table, make_console, output_to_log_file
from pipeline.cli.options import settings_options
from pipeline.exit_status import ExitStatus
from pipeline.runs.root_lock import PipelineRootBusyError, locked
from pipeline.runs.summary import gates, summarise
from pipeline.settings import Settings, SettingsError, make_settings, read_settings_file

if TYPE_CHECKING:
    from pipeline.runs.local_runner import RunResult

_log = logging.getLogger(__name__)

_TEST_SHARES = {"tfds": Fraction(1, 7), "bundled": Fraction(1, 5)}
"""Share of the images that is for testing, by data source."""


@click.command()
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or TOML file with the same settings; options given here win over it.",
)
@click.option("--verbose", is_flag=True, help="Show TFX's log here, too, not only in its file.")
@settings_options
def run(settings_file: Path | None, verbose: bool, **options: str | None) -> None:
    """Runs the pipeline here, from the data to a pushed model.

    \b
    Exit status:
      0    the model is pushed, or the newest release already holds it
      1    something failed
      2    wrong usage
      3    the model did not pass its gate: nothing was pushed
      4    the data did not pass theirs: nothing was trained
      130  interrupted
    """  # noqa: D301 - click wants the character
    given = {name: value for name, value in options.items() if value is not None}
    file_values = read_settings_file(settings_file) if settings_file else {}
    settings = make_settings(file_values, given)
    sys.exit(run_pipeline(settings, verbose))


def run_pipeline(settings: Settings, verbose: bool) -> ExitStatus:
    """Runs the pipeline here, and shows how it goes.

    Args:
      settings: what to run.
      verbose: show TFX's log, too.

    Returns:
      The exit status.

    Raises:
      SettingsError: for settings that can't go well here.
    """
    _check_for_here(settings)
    console = make_console(sys.stdout)
    started = datetime.now().astimezone()
    try:
        source = resolve_source(settings.data, settings.data_dir)
        _check_limit(settings, source)
        with locked(settings.pipeline_root):
            log_file = settings.pipeline_root / "logs" / f"{started:%Y%m%dT%H%M%S}.log"
            _print_header(console, settings, source, log_file)
            result, report = _run_logged(settings, source, log_file, verbose)
    except (SourceUnavailableError, PipelineRootBusyError, OSError) as error:
        return _fail(console, str(error))
    except KeyboardInterrupt:
        console.print("Interrupted: run again to go on from the last finished stage.")
        return ExitStatus.INTERRUPTED
    seconds = (datetime.now().astimezone() - started).total_seconds()
    _print_summary(console, result, report, source, seconds)
    if result.succeeded:
        return ExitStatus.SUCCESS
    return _report_failure(console, result, log_file)


def _check_for_here(settings: Settings) -> None:
    if settings.baseline == "pushed":
        raise SettingsError("baseline: pushed is for Kubeflow; here, choose newest or none")
    if settings.schema_file is not None and not settings.schema_file.is_file():
        raise SettingsError(f"schema_file: there is no file {settings.schema_file}")


def _check_limit(settings: Settings, source: ResolvedSource) -> None:
    expected = settings.limit * _TEST_SHARES[source.source]
    if settings.limit and expected < settings.min_test_examples:
        raise SettingsError(
            f"limit: {settings.limit} leaves {int(expected)} test images, and the gate asks for "
            f"{settings.min_test_examples}: raise it, or lower --min-test-examples"
        )


def _run_logged(
    settings: Settings, source: ResolvedSource, log_file: Path, verbose: bool
) -> tuple[RunResult, str]:
    """Loads TFX and runs the pipeline, with all of their output in the log file.

    Returns:
      What became of the run, and where its report is, if it got so far.
    """
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


def _draw_report(settings: Settings, result: RunResult) -> str:
    """Path of the run's page, or why there is none; empty if the run did not get so far."""
    if "RunReport" not in result.stages or not result.stages["RunReport"].succeeded:
        return ""
    from pipeline.runs.page import write_newest

    try:
        return str(write_newest(settings.pipeline_root))
    except Exception as error:  # noqa: BLE001 - what the run has done counts, shown or not
        _log.exception("The report can't be drawn")
        reason = " ".join(str(error).split())
        return f"WARNING: it can't be drawn: {type(error).__name__}: {reason}"


def _load_and_run(settings: Settings, source: ResolvedSource, run_console: RunConsole) -> RunResult:
    run_console.began("loading TFX")
    from components.example_gen.reading import prepare_tfds
    from pipeline.cache_keys import add_cache_keys
    from pipeline.graph import create_pipeline
    from pipeline.runs.local_runner import run_locally

    # TFX logs through absl, which other code may have told to be quiet.
    logging.getLogger("absl").setLevel(logging.INFO)
    data_dir = None
    if source.source == TFDS:
        run_console.began("preparing MNIST")
        # A download by ExampleGen would change the stamp of the data after it was taken.
        prepare_tfds(source.data_dir)
        data_dir = Path(source.data_dir).absolute()
    concrete = settings.model_copy(update={"data": source.source, "data_dir": data_dir})
    pipeline = create_pipeline(concrete)
    outside = {
        "ImageExampleGen": data_stamp(source.source, source.data_dir),
        # What is being served may have changed, so the Pusher always looks.
        "Pusher": uuid.uuid4().hex,
    }
    add_cache_keys(pipeline, outside)
    return run_locally(pipeline, run_console)


def _print_header(
    console: Console, settings: Settings, source: ResolvedSource, log_file: Path
) -> None:
    console.print(
        f"MNIST pipeline: data {source.source}, epochs {settings.epochs}, "
        f"accuracy threshold {settings.accuracy_threshold}",
        soft_wrap=True,
    )
    console.print(f"Log: {log_file}", soft_wrap=True)
    _print_warning(console, source)


def _print_warning(console: Console, source: ResolvedSource) -> None:
    if source.warning:
        console.print(f"WARNING: {source.warning}", style="bold yellow", soft_wrap=True)


def _print_summary(
    console: Console, result: RunResult, report: str, source: ResolvedSource, seconds: float
) -> None:
    console.print()
    rows = list(gates(result.stages))
    if rows:
        console.print(gate_table(rows))
        console.print()
    for name, value in summarise(result.stages):
        console.print(f"{name:<12}{value}", soft_wrap=True)
    if report:
        style = "bold yellow" if report.startswith("WARNING") else ""
        console.print(f"{'report':<12}{report}", style=style, soft_wrap=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f"{'in all':<12}{seconds:.1f} s, peak memory {memory:.2f} GiB")
    _print_warning(console, source)


def _report_failure(console: Console, result: RunResult, log_file: Path) -> ExitStatus:
    """Says in a line what went wrong; a refusal counts if ML Metadata has a failed stage, too."""
    name = result.failed.name if result.failed else "pipeline"
    if result.failed and isinstance(result.error, DataRejectedError):
        return _fail(console, f"data rejected: {result.error}", ExitStatus.DATA_REJECTED)
    if result.failed and isinstance(result.error, ModelRejectedError):
        return _fail(console, f"model rejected: {result.error}", ExitStatus.MODEL_REJECTED)
    reason = (str(result.error).strip().splitlines() or [""])[-1]
    hint = ""
    if name == "Evaluator" and _had_baseline(result):
        hint = "; if it is the baseline that can't be evaluated any more, add --baseline none"
    kind = type(result.error).__name__
    return _fail(console, f"{name}: {kind}: {reason} (see {log_file}){hint}")


def _had_baseline(result: RunResult) -> bool:
    return "Baseline" in result.stages and "model" in result.stages["Baseline"].outputs


def _fail(console: Console, message: str, status: ExitStatus = ExitStatus.FAILED) -> ExitStatus:
    console.print(f"Error: {message}", style="bold red", soft_wrap=True)
    return status
