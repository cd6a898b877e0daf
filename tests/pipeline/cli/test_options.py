"""The options and their help come from the fields of the settings."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.options import default_text, given_options, settings_options
from pipeline.settings import SettingsError, make_settings, setting_fields


@click.command()
@settings_options
def show(**options: str | None) -> None:
    """Prints the options given, as JSON."""
    click.echo(json.dumps({name: value for name, value in options.items() if value is not None}))


@pytest.fixture(scope="module")
def help_text() -> str:
    """The help without white space, because it is wrapped."""
    return _compact(CliRunner().invoke(show, ["--help"]).output)


def _compact(text: object) -> str:
    return re.sub(r"\s+", "", str(text))


@pytest.mark.parametrize("name", setting_fields())
def test_each_setting_has_an_option_with_its_description_and_default(
    name: str, help_text: str
) -> None:
    field = setting_fields()[name]
    default = default_text(field.default)
    assert f"--{name.replace('_', '-')}" in help_text
    shown = f"{field.description}[default:{default}]" if default else field.description
    assert _compact(shown) in help_text


@pytest.mark.parametrize(
    ("option", "metavar"),
    [
        ("data", "auto|tfds|bundled"),
        ("limit", "INTEGER"),
        ("learning-rate", "NUMBER"),
        ("max-loss", "NUMBER"),
        ("architecture", "NAME"),
        ("schema-file", "FILE"),
        ("data-dir", "DIRECTORY"),
        ("beam-args", "OPTIONS"),
    ],
)
def test_metavar_shows_the_type_of_value(option: str, metavar: str, help_text: str) -> None:
    assert f"--{option}{metavar}" in help_text


def test_options_are_text_that_the_settings_validate() -> None:
    given = ["--accuracy-threshold=0.970", "--epochs=3"]
    options = json.loads(CliRunner().invoke(show, given).output)
    assert options == {"epochs": "3", "accuracy_threshold": "0.970"}
    assert make_settings(options).gate.accuracy_threshold == Decimal("0.97")


@pytest.mark.parametrize(
    ("default", "text"),
    [(None, ""), (Path("a/b"), "a/b"), (Decimal("0.90"), "0.90"), (3, "3"), (("a", "b"), "")],
)
def test_default_is_shown_as_a_user_would_type_it(default: object, text: str) -> None:
    assert default_text(default) == text


def test_given_options_are_named_as_options_in_errors() -> None:
    options = given_options({"batch_size": "0", "seed": None})
    with pytest.raises(SettingsError, match=r"^--batch-size: Input should be greater"):
        make_settings(options)
