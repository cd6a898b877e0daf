"""`mnist-pipeline schema`: proposes the schema that the data must satisfy."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from components.common.errors import DataRejectedError
from components.example_gen.sources import SourceUnavailableError, resolve_source
from pipeline.cli.console import RunConsole, make_console, output_to_log_file
from pipeline.cli.data import print_warning, with_data
from pipeline.exit_status import ExitStatus
from pipeline.settings import make_settings


@click.group()
def schema() -> None:
    """Works with the schema that the data must satisfy."""


@schema.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("schema.pbtxt"),
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option("--data", metavar="auto|tfds|bundled", help="As for run.")
@click.option("--data-dir", metavar="DIRECTORY", help="As for run.")
@click.option("--limit", metavar="INTEGER", help="As for run.")
def propose(output: Path, force: bool, **options: str | None) -> None:
    """Writes a schema from the data definition and the measured data.

    Review it before you use it: `run` refuses the file until its first line is deleted.

    \b
    Exit status:
      0  the file is written
      1  failed
      2  wrong usage, or the file exists
      4  data rejected
    """  # noqa: D301 - click wants the character
    given = {name: value for name, value in options.items() if value is not None}
    if output.exists() and not force:
        raise click.UsageError(f"{output} exists: add --force to overwrite it")
    with tempfile.TemporaryDirectory(prefix="schema-") as root:
        text = _propose({**given, "pipeline_root": root}, output.with_suffix(".log"))
    output.write_text(text)
    click.echo(f"Wrote {output}. Review it, then delete its first line.")


def _propose(values: dict[str, str], log_file: Path) -> str:
    """Measures the data; the log file stays only if that fails."""
    from components.data_gate.schema import propose_schema

    settings = make_settings(values)
    try:
        source = resolve_source(settings.data, settings.data_dir)
        print_warning(make_console(sys.stdout), source)
        with (
            output_to_log_file(log_file, verbose=False) as stream,
            RunConsole(make_console(stream)).live() as run_console,
        ):
            run_console.began("loading TFX")
            from pipeline.runs.measure import measure

            measured = measure(with_data(settings, source, run_console), run_console)
    except DataRejectedError as error:
        click.echo(f"Data rejected: {error}", err=True)
        sys.exit(ExitStatus.DATA_REJECTED)
    except SourceUnavailableError as error:
        raise click.ClickException(str(error)) from error
    log_file.unlink()
    return propose_schema(measured)
