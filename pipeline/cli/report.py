"""`mnist-pipeline report`: renders the report of the last run, or the index of all runs."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from pipeline.cli.options import directory_option


@click.command()
@directory_option("pipeline_root", "Directory of the runs' artifacts and ML Metadata.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write. Default: <pipeline root>/reports/<run>/report.html.",
)
@click.option("--index", is_flag=True, help="Render the index of all runs instead.")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in a browser.")
def report(pipeline_root: Path, output: Path | None, index: bool, open_browser: bool) -> None:
    """Renders the report of the last run and prints its path.

    Also renders the index of all runs, <pipeline root>/reports/index.html.

    \b
    Exit status:
      0  page written
      1  no report found, or no browser to open it
      2  usage error
    """  # noqa: D301 - click interprets the escaped \b
    from components.report.content import ReportError
    from pipeline.runs.page import write_all_runs, write_newest

    if index and output:
        raise click.UsageError("--output can't be used with --index: omit one of them")
    try:
        path = write_all_runs(pipeline_root) if index else write_newest(pipeline_root, output)
    except ReportError as error:
        raise click.ClickException(str(error)) from error
    click.echo(path)
    if open_browser and not webbrowser.open(path.absolute().as_uri()):
        raise click.ClickException("no browser found: open the file above in a browser")
