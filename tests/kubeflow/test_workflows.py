"""Checks the CI and CD workflows: pinned actions, no secrets in commands, valid commands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pipeline.cli.commands import cli

ROOT = Path(__file__).parents[2]
# Variables that GitHub sets for each step.
GITHUB_VARIABLES = {"GITHUB_ACTOR", "GITHUB_OUTPUT", "GITHUB_REPOSITORY", "GITHUB_SHA"}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return workflow


def release() -> dict[str, Any]:
    return read(ROOT / ".github" / "workflows" / "release.yml")


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def commands(step: dict[str, Any]) -> list[list[str]]:
    """Splits each command of a step into words and substitutes example values for variables."""
    examples = {
        "IMAGE": "registry.example/mnist@sha256:" + 64 * "0",
        "EPOCHS": "3",
        "ACCURACY_THRESHOLD": "0.95",
    }
    script = re.sub(
        r"\$(\w+)",
        lambda name: examples.get(name[1], "x"),
        step.get("run", "").replace("\\\n", " "),
    )
    return [shlex.split(line) for line in script.splitlines() if line.strip()]


def pipeline_commands() -> list[list[str]]:
    found = []
    for step in steps(release()):
        for words in commands(step):
            command = words[1:] if words[0] == "exec" else words
            if command[0] == ".venv/bin/mnist-pipeline":
                found.append(command[1:])
    return found


def test_release_submits_the_pipeline_that_it_compiles() -> None:
    compiling, submitting = pipeline_commands()
    assert (compiling[0], submitting[0]) == ("compile", "submit")
    assert compiling[compiling.index("--output") + 1] == submitting[1]
    assert "--no-wait" not in submitting


@pytest.mark.parametrize("words", pipeline_commands(), ids=lambda words: words[0])
def test_commands_pass_option_parsing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "https://kfp.example")
    (tmp_path / "mnist-pipeline.yaml").write_text("compiled")
    with click.Context(cli) as context:
        name, command, arguments = cli.resolve_command(context, words)
        assert command is not None, f"no command {name}"
        command.make_context(name, arguments, parent=context)


def test_release_is_limited_to_the_default_branch_and_requires_a_successful_run() -> None:
    workflow = release()
    jobs = workflow["jobs"]
    assert jobs["train"]["needs"] == "image"
    assert jobs["release"]["needs"] == ["image", "train"]
    default_branch = "format('refs/heads/{0}', github.event.repository.default_branch)"
    conditions = {name: job["if"] for name, job in jobs.items() if "if" in job}
    assert conditions == {"image": f"github.ref == {default_branch}"}
    for job in jobs.values():
        assert "continue-on-error" not in job
    for step in steps(workflow):
        assert not {"if", "continue-on-error", "shell"} & set(step)
        assert not re.search(r"\|\||;|\|(?!$)|set \+e", step.get("run", ""))
    last = jobs["train"]["steps"][-1]
    assert " submit " in last["run"]


def test_each_attempt_has_its_own_name() -> None:
    jobs = release()["jobs"]
    attempt = "${{ github.run_attempt }}"
    assert jobs["train"]["steps"][-1]["env"]["RUN_NAME"].endswith(attempt)
    assert jobs["release"]["steps"][-1]["env"]["TAG"].endswith(f"-{attempt}")


def test_stages_run_in_the_image_of_the_commit_by_digest() -> None:
    jobs = release()["jobs"]
    _, build, push = jobs["image"]["steps"]
    assert commands(build)[0][:2] == ["make", "image"]
    tag = "ghcr.io/${{ github.repository }}:${{ github.sha }}"
    assert build["env"]["IMAGE"] == push["env"]["IMAGE"] == tag
    assert ".RepoDigests" in push["run"]
    assert jobs["image"]["outputs"] == {"image": f"${{{{ steps.{push['id']}.outputs.image }}}}"}
    (compiling,) = (step for step in jobs["train"]["steps"] if step.get("name") == "Compile")
    assert compiling["env"] == {"IMAGE": "${{ needs.image.outputs.image }}"}


def test_release_jobs_have_only_the_required_permissions() -> None:
    assert {name: job.get("permissions") for name, job in release()["jobs"].items()} == {
        "image": {"contents": "read", "packages": "write"},
        "train": None,
        "release": {"contents": "write"},
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_and_runners_are_pinned_and_permissions_are_minimal(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert re.fullmatch(r"ubuntu-\d+\.\d+", job["runs-on"])
        assert job["timeout-minutes"] > 0
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.search(r"@(v\d+\.\d+\.\d+|[0-9a-f]{40})$", step["uses"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_commands_contain_no_template_expressions_or_secrets(path: Path) -> None:
    for step in steps(read(path)):
        assert "${{" not in step.get("run", "")
        used = set(re.findall(r"\$\{?([A-Z_]+)", step.get("run", "")))
        assert used <= set(step.get("env", {})) | GITHUB_VARIABLES
        for name, value in step.get("env", {}).items():
            assert "secrets." not in value or name == "KF_PIPELINES_TOKEN"


def test_ci_only_runs_the_script_that_developers_can_run() -> None:
    run = [
        step["run"]
        for step in steps(read(ROOT / ".github" / "workflows" / "ci.yml"))
        if "run" in step
    ]
    assert run == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
