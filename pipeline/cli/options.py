"""The command line options that are made from the fields of `Settings`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

import click

from pipeline.settings import Settings


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
