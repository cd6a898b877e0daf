"""The commands of each make target, from `make --dry-run`."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def make(*arguments: str) -> str:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def commands_of_run(*variables: str) -> list[str]:
    """Returns the words of the command after the set-up."""
    set_up, run = make("--dry-run", "run", *variables).split("\n", maxsplit=1)
    assert set_up == "sh stacks/install.sh"
    return shlex.split(run.replace("\\\n", " "))


def test_run_passes_its_variables_to_the_command_line_after_the_set_up() -> None:
    variables = ["DATA=bundled", "EPOCHS=2", "SERVING_DIR=the models", "PIPELINE_ROOT=root"]
    assert commands_of_run(*variables, "ARGS=--seed 7 --verbose") == [
        *(".venv/bin/python", "-m", "pipeline", "run"),
        *("--data", "bundled", "--epochs", "2"),
        *("--serving-dir", "the models", "--pipeline-root", "root"),
        *("--seed", "7", "--verbose"),
    ]


def test_run_without_variables_uses_the_default_settings() -> None:
    assert commands_of_run() == [".venv/bin/python", "-m", "pipeline", "run"]


def test_make_alone_lists_the_targets() -> None:
    listed = make()
    assert all(f"make {target} " in listed for target in ("run", "test", "lint", "test-current"))
