"""`mnist-pipeline run`: runs the pipeline on this machine."""

from __future__ import annotations

import logging
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from components.common.errors import describe_os_error
from components.common.loading import collection_paused
from components.example_gen.sources import (
    ResolvedSource,
    SourceUnavailableError,
    data_stamp,
    resolve_source,
)
from components.model_gate.checks import percent
from models.definition import DATASET
from pipeline.cli.console import RunConsole, make_console, output_to_log_file
from pipeline.cli.data import print_warning, with_data
from pipeline.cli.options import given_options, settings_options
from pipeline.cli.outcome import (
    Outcome,
    classify_result,
    describe_failure,
    interrupted,
    print_outcome,
)
from pipeline.exit_status import ExitStatus
from pipeline.runs.root_lock import PipelineRootBusyError, locked
from pipeline.runs.summary import show_time
from pipeline.settings import (
    SCHEMA_FILE,
    Settings,
    SettingsError,
    check_schema,
    make_settings,
    read_settings_file,
)
from pipeline.stages import EXAMPLE_GEN, PUSHER

if TYPE_CHECKING:
    from pipeline.runs.local_runner import RunResult
    from pipeline.runs.metadata import Stage

_log = logging.getLogger(__name__)

_STDOUT, _STDERR = 1, 2


@click.command()
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or TOML file with settings. Options override the file.",
)
@click.option("--verbose", is_flag=True, help="Also print TFX's log on standard error.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the outcome as JSON, and progress on standard error.",
)
@settings_options
def run(settings_file: Path | None, verbose: bool, as_json: bool, **options: str | None) -> None:
    """Runs the pipeline on this machine, from data to pushed model.

    \b
    Exit status:
      0    model pushed, or already the newest release
      1    run failed
      2    usage error, or invalid settings
      3    model rejected; nothing was pushed
      4    data rejected; nothing was trained
      130  interrupted

    With --json, standard output is one JSON object. Fields without a value are
    null or empty. After a usage error, no JSON is printed.

    \b
    JSON fields:
      status       success, failed, usage, model_rejected, data_rejected or
                   interrupted
      exit_status  as above
      error        reason why the run did not succeed
      warning      for example, the data could not be downloaded
      run_id       name of the run in ML Metadata
      started      ISO 8601 time with UTC offset
      seconds      total time
      data         source, fingerprint, and counts of images by split
      training     epochs, best_epoch (the exported one), precision,
                   hardware
      metrics      metrics on the test images, by name
      checks       checks of the model gate: name, rule, threshold, value,
                   passed, detail
      release      version, path, up_to_date (whether it was already released)
      stages       name, state in ML Metadata, seconds
      report, log  file paths
    """  # noqa: D301 - click interprets the escaped \b
    file_values = read_settings_file(settings_file) if settings_file else {}
    settings = make_settings(file_values, given_options(options))
    sys.exit(run_pipeline(settings, verbose, as_json))


def run_pipeline(settings: Settings, verbose: bool, as_json: bool = False) -> ExitStatus:
    """Runs the pipeline in this process and shows its progress and outcome.

    Args:
      settings: settings of the run.
      verbose: whether to show TFX's log.
      as_json: whether to print the outcome as JSON on standard output, and everything else on
        standard error.

    Raises:
      SettingsError: the settings are invalid for a local run or for the data.
    """
    console = make_console(sys.stderr if as_json else sys.stdout)
    outcome = _run(settings, console, verbose, _STDERR if as_json else _STDOUT)
    print_outcome(console, outcome, settings)
    if as_json:
        click.echo(outcome.to_json())
    if outcome.result and isinstance(outcome.result.error, SettingsError):
        raise outcome.result.error
    return outcome.status


def _run(settings: Settings, console: Console, verbose: bool, stream: int) -> Outcome:
    started = datetime.now().astimezone()
    log_file = settings.pipeline_root / "logs" / f"{started:%Y%m%dT%H%M%S}.log"

    def outcome(status: ExitStatus, error: str | None, **results: Any) -> Outcome:
        seconds = (datetime.now().astimezone() - started).total_seconds()
        return Outcome(status, error, started, seconds, log_file, **results)

    try:
        _check_for_local_run(settings)
        source = resolve_source(settings.data, settings.data_dir)
        with locked(settings.pipeline_root):
            _print_header(console, settings, source, started, log_file)
            result, report = _run_logged(settings, source, log_file, verbose, stream)
    except (SourceUnavailableError, PipelineRootBusyError) as error:
        return outcome(ExitStatus.FAILED, f"Error: {error}")
    except OSError as error:
        return outcome(ExitStatus.FAILED, f"Error: {describe_os_error(error)}")
    except KeyboardInterrupt:
        return outcome(ExitStatus.INTERRUPTED, interrupted(""))
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001 - `_run_logged` has logged it
        return outcome(ExitStatus.FAILED, describe_failure("pipeline", error, log_file))
    status, message = classify_result(result, report, log_file)
    return outcome(status, message, warning=source.warning, result=result, report=report)


def _check_for_local_run(settings: Settings) -> None:
    check_schema(settings.schema_file or SCHEMA_FILE)
    from models.pictures import check_preprocessing

    try:
        check_preprocessing(DATASET.image_shape, DATASET.picture_preprocessing)
    except (ImportError, TypeError) as error:
        raise SettingsError(f"models/definition.py: picture_preprocessing: {error}") from error


def _run_logged(
    settings: Settings, source: ResolvedSource, log_file: Path, verbose: bool, stream: int
) -> tuple[RunResult, Path | str]:
    """Loads TFX, runs the pipeline and renders its report, with all output in the log file."""
    with (
        output_to_log_file(log_file, verbose, stream) as original,
        RunConsole(make_console(original), live=not verbose).live() as run_console,
    ):
        try:
            result = _load_and_run(settings, source, run_console)
        except Exception:
            _log.exception("The run could not start")
            raise
        if result.error is not None:
            _log.error("The run failed", exc_info=result.error)
        return result, _draw_report(settings, result)


def _load_and_run(settings: Settings, source: ResolvedSource, run_console: RunConsole) -> RunResult:
    run_console.began("loading TFX")
    with collection_paused():
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
    """Ends a run before training if the data has fewer test images than the gate requires.

    This is a `pipeline.runs.local_runner.Observer` that wraps the console.
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
    """Returns the path of the page, or a warning; empty if the run has no page."""
    from pipeline.runs.outcome import has_page
    from pipeline.runs.page import write_newest

    if not has_page(result.stages):
        return ""

    try:
        return write_newest(settings.pipeline_root)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the run has already ended
        _log.exception("The report page could not be rendered")
        reason = " ".join(str(error).split())
        return f"WARNING: could not render the page: {type(error).__name__}: {reason}"


def _print_header(
    console: Console,
    settings: Settings,
    source: ResolvedSource,
    started: datetime,
    log_file: Path,
) -> None:
    training = settings.training
    console.print(
        f"{DATASET.title} pipeline, {show_time(started)}: data {source.source}, "
        f"recipe {training.recipe}, architecture {training.architecture}, "
        f"accuracy gate {percent(float(settings.gate.accuracy_threshold))}",
        soft_wrap=True,
    )
    console.print(f"Log: {log_file}", soft_wrap=True)
    print_warning(console, source.warning)
