"""`mnist-pipeline schema`: proposes the schema that the data must satisfy."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click

from components.common.errors import DataRejectedError, describe_os_error
from components.example_gen.sources import SourceUnavailableError, resolve_source
from pipeline.cli.console import RunConsole, make_console, output_to_log_file
from pipeline.cli.data import print_warning, with_data
from pipeline.cli.options import given_options, setting_option
from pipeline.exit_status import ExitStatus
from pipeline.settings import Settings, make_settings

LOG_FILE = "schema.log"


@click.group()
def schema() -> None:
    """Creates the schema that the data must satisfy."""


@schema.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("schema.pbtxt"),
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@setting_option("data")
@setting_option("data_dir")
@setting_option("limit")
def propose(output: Path, force: bool, **options: str | None) -> None:
    """Proposes a schema, based on the data definition and the data.

    Review the schema before you use it. `run` rejects the file until you delete its first line.

    \b
    Exit status:
      0    file written
      1    failed
      2    usage error, or the file exists
      4    data rejected
      130  interrupted
    """  # noqa: D301 - click interprets the escaped \b
    if output.exists() and not force:
        raise click.UsageError(f"{output} exists: add --force to overwrite it")
    settings = make_settings(given_options(options))
    root = Path(tempfile.mkdtemp(prefix="schema-"))
    try:
        text = _propose(settings.model_copy(update={"pipeline_root": root}))
        output.write_text(text, encoding="utf-8")
    except DataRejectedError as error:
        click.echo(f"Data rejected: {error}", err=True)
        sys.exit(ExitStatus.DATA_REJECTED)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.INTERRUPTED)
    except SourceUnavailableError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(describe_os_error(error)) from error
    except Exception as error:  # Stages raise errors of any type.
        reason = " ".join(str(error).split())
        raise click.ClickException(f"{reason} (see {root / LOG_FILE})") from error
    shutil.rmtree(root)
    click.echo(f"Wrote {output}. Review it, then delete its first line.")


def _propose(settings: Settings) -> str:
    """Measures the data and proposes a schema. Output goes to a log file in the pipeline root."""
    from components.data_gate.schema import propose_schema

    console = make_console(sys.stdout)
    source = resolve_source(settings.data, settings.data_dir)
    print_warning(console, source.warning)
    with (
        output_to_log_file(settings.pipeline_root / LOG_FILE, verbose=False) as stream,
        RunConsole(make_console(stream)).live() as run_console,
    ):
        run_console.began("loading TFX")
        from pipeline.runs.measure import measure

        measured, reference, data = measure(with_data(settings, source, run_console), run_console)
    return propose_schema(measured, reference, data)
