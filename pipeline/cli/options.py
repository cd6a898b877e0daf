"""Command line options generated from the fields of `Settings`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from pipeline.settings import Settings, setting_fields

_METAVARS = {
    int: "INTEGER",
    float: "NUMBER",
    Decimal: "NUMBER",
    str: "NAME",
    tuple[str, ...]: "OPTIONS",
}


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each setting; its value stays the text that `make_settings` validates."""
    for name, field in reversed(setting_fields().items()):
        default = default_text(field.default)
        option = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar=_metavar(name, field.annotation),
            help=f"{field.description}  [default: {default}]" if default else field.description,
        )
        command = option(command)
    return command


def directory_option(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes an option for a directory, with the default of the setting of that name."""
    return click.option(
        f"--{name.replace('_', '-')}",
        type=click.Path(file_okay=False, path_type=Path),
        default=Settings.model_fields[name].default,
        help=text,
    )


def default_text(default: object) -> str:
    """The default as a user would type it; "" for None."""
    if isinstance(default, tuple):
        return shlex.join(default)
    return "" if default is None else str(default)


def _metavar(name: str, annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    return _METAVARS.get(annotation, "FILE" if name.endswith("_file") else "DIRECTORY")
