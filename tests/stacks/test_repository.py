"""Files for contributors: pre-commit, dev container, license."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from tests.stacks.test_makefile import make

ROOT = Path(__file__).parents[2]
DEV_CONTAINER = ROOT / ".devcontainer"


def hooks() -> list[dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    assert repository["repo"] == "local", "the versions are those of .venv"
    found: list[dict[str, Any]] = repository["hooks"]
    return found


def test_pre_commit_runs_the_commands_of_make_lint() -> None:
    set_up, *commands = make("--dry-run", "lint").splitlines()
    assert set_up == "sh stacks/install.sh"
    assert [hook["entry"] for hook in hooks()] == commands
    for hook in hooks():
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False, "lint checks the whole project"


def dev_container() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DEV_CONTAINER / "devcontainer.json").read_text())
    return content


def test_dev_container_sets_up_and_forwards_the_port_of_serve() -> None:
    content = dev_container()
    program, target = shlex.split(content["postCreateCommand"])
    assert program == "make"
    assert make("--dry-run", target) == "sh stacks/install.sh\n"
    assert content["forwardPorts"] == [8501]
    assert "--platform=linux/amd64" in content["runArgs"]
    dockerfile = (DEV_CONTAINER / content["build"]["dockerfile"]).read_text()
    assert f"\nUSER {content['remoteUser']}\n" in dockerfile


def base_image(dockerfile: Path) -> str:
    found = re.search(r"^ARG BASE_IMAGE=(.*)$", dockerfile.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_dev_container_has_the_python_of_the_image() -> None:
    assert base_image(DEV_CONTAINER / "Dockerfile") == base_image(ROOT / "kubeflow" / "Dockerfile")


def test_license_matches_the_package_metadata() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert 'license="Apache-2.0"' in (ROOT / "setup.py").read_text()
