"""Help, completion and suggestions for every command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.commands import PROGRAM, cli


def _paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the words of each command and subcommand."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            yield from _paths(subcommand, (*path, name))


@pytest.mark.parametrize("path", list(_paths(cli)), ids=" ".join)
def test_help_fits_80_columns_and_cuts_no_words(path: tuple[str, ...]) -> None:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli, [*path, "--help"], prog_name=PROGRAM)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line.endswith(("-", "[default:"))] == []
    summaries = result.output.partition("Commands:\n")[2].splitlines()
    assert [line for line in summaries if not re.search(r"[^.]\.$", line)] == []


def test_every_command_is_in_the_help() -> None:
    output = CliRunner(env={"COLUMNS": "80"}).invoke(cli, ["--help"], prog_name=PROGRAM).output
    commands = output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in commands] == cli.list_commands(click.Context(cli))


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["reprot"], "No such command 'reprot'. Did you mean 'report'?"),
        (["releases", "rolback"], "No such command 'rolback'. Did you mean 'rollback'?"),
        (["run", "--rotate=3"], "No such option '--rotate'. Did you mean '--rotation'?"),
    ],
)
def test_mistyped_name_gets_a_suggestion(words: list[str], suggestion: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert suggestion in " ".join(result.output.split())


def _complete(*words: str) -> list[str]:
    """Completes the last word like bash."""
    environment = {
        "_MNIST_PIPELINE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join([PROGRAM, *words]),
        "COMP_CWORD": str(len(words)),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["rep"], ["plain,report"]),
        (["releases", "ro"], ["plain,rollback"]),
        (["run", "--min-t"], ["plain,--min-test-examples"]),
        (["run", "--data", "b"], ["plain,bundled"]),
        (["run", "--schema-file", "a"], ["file,a"]),
        (["serve", "--serving-dir", "a"], ["dir,a"]),
    ],
)
def test_bash_completes_commands_options_and_values(
    words: list[str], completions: list[str]
) -> None:
    assert _complete(*words) == completions


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline"],
        env=os.environ | {"_MNIST_PIPELINE_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_MNIST_PIPELINE_COMPLETE={shell}_complete" in ended.stdout
