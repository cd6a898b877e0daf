"""Entry point of `mnist-pipeline`.

A command imports TensorFlow and TFX only when it needs them, so that help, version and usage errors
answer at once.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version

import click

from pipeline.settings import SettingsError

COMMANDS = "mnist_pipeline.commands"
_PROGRAM = "mnist-pipeline"


class _CommandGroup(click.Group):
    """Finds its commands by the entry points of the group COMMANDS.

    The packages above this one register theirs there too, and a command is imported only when it,
    or the list of commands, is needed.
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
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version(_PROGRAM), prog_name=_PROGRAM)
def cli() -> None:
    """Trains, validates, gates and pushes an MNIST model with TFX."""


def main() -> None:
    """Entry point; wrong settings are wrong usage."""
    try:
        cli(prog_name=_PROGRAM)
    except SettingsError as error:
        for line in str(error).splitlines():
            click.echo(f"Error: {line}", err=True)
        sys.exit(2)
