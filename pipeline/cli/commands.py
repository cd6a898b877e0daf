"""The group of all commands.

Commands import TensorFlow and TFX only when needed, so help, version and usage errors appear
immediately.
"""

from __future__ import annotations

from importlib.metadata import entry_points, version
from typing import Any

import click
from click.exceptions import NoSuchCommand

from models.definition import DATASET
from pipeline.cli.help import HelpFormatter
from pipeline.exit_status import ExitStatus

COMMANDS = "mnist_pipeline.commands"
PROGRAM = "mnist-pipeline"

click.Context.formatter_class = HelpFormatter


class _CommandGroup(click.Group):
    """Loads commands lazily from the entry points of the group COMMANDS.

    Packages of higher layers also register their commands in this group.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(entry_points(group=COMMANDS).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entry in entry_points(group=COMMANDS, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:  # click suggests only commands that are already loaded
            names = self.list_commands(ctx)
            raise NoSuchCommand(error.command_name, possibilities=names, ctx=ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command. Ctrl+C gets its own exit status; click's is that of any failure."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(ExitStatus.INTERRUPTED)


@click.group(
    cls=_CommandGroup,
    help=f"Trains, validates, gates and pushes a model for {DATASET.title} with TFX.",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(version(PROGRAM), prog_name=PROGRAM)
def cli() -> None:
    """The parent of all commands."""
