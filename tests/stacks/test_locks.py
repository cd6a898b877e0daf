"""Properties of the committed locks."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

STACKS = Path(__file__).parents[2] / "stacks"
LOCKS = ["build", "compat", "current", "current-runtime"]


def locked(lock: str) -> dict[str, str]:
    """Returns the text of each locked package's entry, by name."""
    entries = re.findall(
        r"^([a-z0-9-]+)(?:\[.*\])?(==.*(?:\n    .*)*)", (STACKS / f"{lock}.txt").read_text(), re.M
    )
    return dict(entries)


@pytest.mark.parametrize("lock", LOCKS)
def test_each_package_has_one_version_and_hashes(lock: str) -> None:
    text = (STACKS / f"{lock}.txt").read_text()
    requirements = [line for line in text.splitlines() if not line.startswith((" ", "#"))]
    assert requirements
    assert all(re.match(r"\S+==\S+( ; .*)? \\$", line) for line in requirements)
    assert all("--hash=sha256:" in entry for entry in locked(lock).values())


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_host(lock: str) -> None:
    assert "://" not in (STACKS / f"{lock}.txt").read_text()


@pytest.mark.parametrize("lock", ["compat", "current"])
def test_each_dependency_of_the_project_is_locked(lock: str) -> None:
    requirements = importlib.metadata.requires("mnist-pipeline") or []
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}  # type: ignore[index]
    assert {"tfx", "pytest"} <= names
    assert names <= locked(lock).keys(), "run `make lock`"


def test_the_image_has_stack_current_without_development_packages() -> None:
    current, runtime = locked("current"), locked("current-runtime")
    assert runtime.items() <= current.items(), "run `make lock`"
    requirements = importlib.metadata.requires("mnist-pipeline") or []
    needed = {
        re.match(r"[\w-]+", line)[0].lower()  # type: ignore[index]
        for line in requirements
        if 'extra == "dev"' not in line
    }
    assert needed <= runtime.keys(), "run `make lock`"
    assert not runtime.keys() & {"mypy", "pytest", "ruff", "uv", "libclang"}


@pytest.mark.parametrize("lock", ["compat", "current", "current-runtime"])
def test_build_packages_have_the_same_version_in_each_stack(lock: str) -> None:
    assert locked("build")["setuptools"] == locked(lock)["setuptools"]
