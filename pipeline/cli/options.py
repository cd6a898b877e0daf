"""Command line options generated from the fields of `Settings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from pipeline.settings import Layer, Settings, setting_fields

_FILE, _DIRECTORY = "FILE", "DIRECTORY"
_METAVARS = {
    int: "INTEGER",
    float: "NUMBER",
    Decimal: "NUMBER",
    str: "NAME",
    tuple[str, ...]: "OPTIONS",
}


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each setting. Values stay text until `make_settings` validates them."""
    for name in reversed(setting_fields()):
        command = setting_option(name)(command)
    return command


def setting_option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Creates the option for one setting."""
    field = setting_fields()[name]
    default = default_text(field.default)
    metavar = _metavar(name, field.annotation)
    return click.option(
        option_name(name),
        name,
        metavar=metavar,
        help=f"{field.description}  [default: {default}]" if default else field.description,
        shell_complete=lambda _context, _parameter, text: _completions(metavar, text),
    )


def option_name(setting: str) -> str:
    """Returns the name of a setting's option, such as "--max-loss" for "max_loss"."""
    return f"--{setting.replace('_', '-')}"


def given_options(options: Mapping[str, str | None]) -> Layer:
    """Returns the values of the given options. Error messages refer to them as options."""

    def locate(line: str) -> str:
        name, colon, rest = line.partition(":")
        return option_name(name) + colon + rest

    return Layer({name: text for name, text in options.items() if text is not None}, locate)


def directory_option(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Creates an option for a directory, with the default of the setting with the same name."""
    return click.option(
        option_name(name),
        type=click.Path(file_okay=False, path_type=Path),
        default=Settings.model_fields[name].default,
        help=text,
    )


def default_text(default: object) -> str:
    """Returns the default as a user would type it; "" for no default or an empty tuple."""
    return "" if default is None or isinstance(default, tuple) else str(default)


def _metavar(name: str, annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    return _METAVARS.get(annotation, _FILE if name.endswith("_file") else _DIRECTORY)


def _completions(metavar: str, text: str) -> list[CompletionItem]:
    """Completes a choice. Paths are completed by the shell."""
    if metavar in {_FILE, _DIRECTORY}:
        return [CompletionItem(text, type="file" if metavar == _FILE else "dir")]
    choices = metavar.split("|") if "|" in metavar else []
    return [CompletionItem(choice) for choice in choices if choice.startswith(text)]
