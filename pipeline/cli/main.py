"""Entry point of `mnist-pipeline`.

Commands import TensorFlow and TFX only when they need them, so that help, version and usage errors
appear at once.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version

import click

from models.definition import DATASET
from pipeline.exit_status import ExitStatus
from pipeline.settings import SettingsError

COMMANDS = "mnist_pipeline.commands"
_PROGRAM = "mnist-pipeline"


class _CommandGroup(click.Group):
    """Loads commands from the entry points of the group COMMANDS, each when it is needed.

    Packages of higher layers register their commands there, too.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(entry_points(group=COMMANDS).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entry in entry_points(group=COMMANDS, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_CommandGroup,
    help=f"Trains, validates, gates and pushes a model for {DATASET.title} with TFX.",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(version(_PROGRAM), prog_name=_PROGRAM)
def cli() -> None:
    """Parent of all commands."""


def main() -> None:
    """Runs the command line; wrong settings end it with the exit status of wrong usage."""
    try:
        cli(prog_name=_PROGRAM)
    except SettingsError as error:
        for line in str(error).splitlines():
            click.echo(f"Error: {line}", err=True)
        sys.exit(ExitStatus.USAGE)
