"""The command line, `mnist-pipeline`: parses, calls, and turns what happened into an exit status.

TensorFlow and TFX are imported only by what needs them, so that help, version and wrong usage
answer at once.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from pipeline.settings import Settings, SettingsError, make_settings, read_settings_file

COMMANDS = "mnist_pipeline.commands"
_PROGRAM = "mnist-pipeline"


class _CommandGroup(click.Group):
    """Has the commands of this module, and those that other packages of ours register.

    They register as entry points of the group COMMANDS, because this package must not import those
    above it; one is imported only when it, or the list of commands, is asked for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *entry_points(group=COMMANDS).names])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entry in entry_points(group=COMMANDS, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version(_PROGRAM), prog_name=_PROGRAM)
def cli() -> None:
    """Trains, validates, gates and pushes an MNIST model with TFX."""


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each field of Settings, whose rules Settings itself checks."""
    for name, field in reversed(Settings.model_fields.items()):
        value = shlex.join(field.default) if isinstance(field.default, tuple) else field.default
        default = "" if value is None else f"  [default: {value}]"
        option = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar=_metavar(name, field.annotation),
            help=f"{field.description}{default}",
        )
        command = option(command)
    return command


def _metavar(name: str, annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    kinds = {int: "INTEGER", float: "NUMBER", Decimal: "NUMBER", tuple[str, ...]: "OPTIONS"}
    return kinds.get(annotation, "FILE" if name.endswith("_file") else "DIRECTORY")


@cli.command()
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
    from pipeline.run_command import run_pipeline

    sys.exit(run_pipeline(settings, verbose))


def main() -> None:
    """Entry point; wrong settings are wrong usage."""
    try:
        cli(prog_name=_PROGRAM)
    except SettingsError as error:
        for line in str(error).splitlines():
            click.echo(f"Error: {line}", err=True)
        sys.exit(2)
