"""The README says what the code does."""

import re
from pathlib import Path

import pytest
from support.readme_settings import HEADER, settings_table

from models.definition import DATASET
from pipeline.exit_status import ExitStatus

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _table(heading: str) -> dict[str, str]:
    """First and second column of the first table below a heading."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `?([^|`]+?)`? \|([^|]*)\|", section, re.MULTILINE)
    return {name: value.strip().strip("`") for name, value in rows[2:]}


@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
def test_table_of_settings_is_up_to_date() -> None:
    assert f"{HEADER}{settings_table()}\n" in README, "if that is right: make golden"


def test_table_of_exit_statuses_has_each() -> None:
    assert [int(status) for status in _table("Exit status")] == [int(s) for s in ExitStatus]


def _paths() -> list[str]:
    """Paths that the README names; a fork may have deleted MNIST's own."""
    named = set(re.findall(r"`((?:components|models|pipeline)/[^`<]*)`", README))
    mnist = () if DATASET.name == "mnist" else ("models/digits/",)
    return sorted(path for path in named if not path.startswith(mnist))


@pytest.mark.parametrize("path", _paths())
def test_paths_that_it_names_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_tree_has_each_folder() -> None:
    tree = README.split("## Repository\n\n```\n", 1)[1].split("\n```", 1)[0]
    named, top = set(), ""
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            top = name
        if name.endswith("/"):
            named.add(name if name == top else f"{top}{name}")
    packages = ("models", "components", "pipeline", "kubeflow")
    folders = {f"{name}/" for name in (*packages, "stacks", "tests")}
    for package in packages:
        inside = (path for path in (ROOT / package).iterdir() if path.is_dir())
        folders |= {f"{package}/{path.name}/" for path in inside if path.name != "__pycache__"}
    if DATASET.name != "mnist":
        named.discard("models/digits/")
        folders.discard("models/digits/")
    assert named == folders
