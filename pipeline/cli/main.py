"""Entry point of `mnist-pipeline`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from typing import NoReturn

import click
from pydantic import ValidationError

from models.hardware import limit_threads
from models.validation import problems
from pipeline.exit_status import ExitStatus


def main() -> None:
    """Runs the command line. Invalid settings or data definitions exit with status USAGE."""
    limit_threads()
    try:
        import models.definition  # noqa: F401 - importing it validates the definition
    except ValidationError as error:
        _reject(f"models/definition.py: {problem}" for problem in problems(error))
    from pipeline.cli.commands import PROGRAM, cli
    from pipeline.settings import SettingsError

    try:
        cli(prog_name=PROGRAM)
    except SettingsError as error:
        _reject(str(error).splitlines())
    finally:
        # At exit, Python would visit everything that TensorFlow and TFX created, for seconds.
        gc.freeze()


def _reject(lines: Iterable[str]) -> NoReturn:
    for line in lines:
        click.echo(f"Error: {line}", err=True)
    sys.exit(ExitStatus.USAGE)
