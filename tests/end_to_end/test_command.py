"""Runs the command as a process: exit status, concurrent runs, resuming after a kill."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.forks import ROOT
from support.pipeline_runs import Workspace

from pipeline.runs import metadata
from pipeline.runs.root_lock import locked
from pipeline.stages import STAGES, TRAINER


def _command(workspace: Workspace, *options: str) -> Sequence[str]:
    values = workspace.settings()
    given = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    return [sys.executable, "-m", "pipeline", "run", *given, *options]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--epochs=0"],
            "Error: --epochs: Input should be greater than or equal to 1, received '0'",
        ),
        (["--color=red"], "Error: No such option '--color'"),
        (["--schema-file=absent.pbtxt"], "Error: schema_file: absent.pbtxt: No such file"),
        (["--settings=absent.yaml"], "'absent.yaml' does not exist"),
    ],
)
def test_invalid_usage_exits_with_2_and_an_error_message(
    workspace: Workspace, options: list[str], message: str
) -> None:
    process = _run(_command(workspace, *options))
    assert process.returncode == 2
    assert message in process.stderr
    assert not workspace.root.exists()


def test_options_override_the_settings_file(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("limit: -1\nseed: -1\n")
    ended = _run(_command(workspace, f"--settings={path}", "--seed=1"))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Error: {path}: limit: ")
    assert "seed" not in ended.stderr


def test_concurrent_run_on_the_same_pipeline_root_is_an_error(workspace: Workspace) -> None:
    with locked(workspace.root):
        process = _run(_command(workspace))
    assert process.returncode == 1
    assert "in use by another run" in process.stdout
    assert not (workspace.root / "metadata.sqlite").exists()


def test_error_for_an_unwritable_pipeline_root_has_no_traceback(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ended = _run(_command(workspace, f"--pipeline-root={tmp_path}/file/root"))
    assert ended.returncode == 1
    assert ended.stdout == f"Error: {tmp_path}/file/root: Not a directory\n"
    assert not ended.stderr


def test_unreadable_ml_metadata_gets_an_error_as_json(workspace: Workspace) -> None:
    workspace.root.mkdir(parents=True)
    (workspace.root / "metadata.sqlite").write_text("not a database " * 100)
    ended = _run(_command(workspace, "--json"))
    assert ended.returncode == 1
    outcome = json.loads(ended.stdout)
    assert outcome["status"] == "failed"
    assert "file is not a database" in outcome["error"]
    assert "Traceback" in Path(outcome["log"]).read_text()


def test_interrupted_training_resumes_from_its_last_completed_epoch(workspace: Workspace) -> None:
    command = _command(workspace, "--epochs=6", "--early-stopping-patience=6")
    interrupted = _end_after("epoch 2/6", command, signal.SIGINT)
    assert interrupted.returncode == 130
    stage, last = interrupted.stdout.splitlines()[-2:]
    assert stage.startswith(f"{TRAINER:<18}interrupted")
    assert last == f"Interrupted in {TRAINER}. Run the same command again to resume."

    _end_after("epoch 4/6", command, signal.SIGKILL)
    assert [stage.state for stage in _executions(workspace, TRAINER)] == ["FAILED", "RUNNING"]

    ended = _run([*command, "--json"])
    assert ended.returncode == 0, ended.stderr
    assert "epoch 1/6" not in ended.stderr
    assert "epoch 6/6" in ended.stderr
    assert f"{TRAINER:<18}done" in ended.stderr
    assert "6 epochs in " in ended.stderr
    states = [stage.state for stage in _executions(workspace, TRAINER)]
    assert states == ["FAILED", "FAILED", "COMPLETE"]
    _check_json(json.loads(ended.stdout), workspace)


def _end_after(
    text: str, command: Sequence[str], number: signal.Signals
) -> subprocess.CompletedProcess[str]:
    """Sends the command a signal when it has printed a line with this text."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if text in line:
                process.send_signal(number)
    return subprocess.CompletedProcess(command, process.returncode, printed)


def _check_json(outcome: dict[str, Any], workspace: Workspace) -> None:
    """Checks that all documented fields agree with the run."""
    help_text = _run([sys.executable, "-m", "pipeline", "run", "--help"]).stdout
    documented = help_text.partition("JSON fields:\n")[2].partition("\n\n")[0]
    names = re.findall(r"^ {4}(\w+(?:, \w+)*)  ", documented, re.MULTILINE)
    assert sorted(", ".join(names).split(", ")) == sorted(outcome)
    assert (outcome["status"], outcome["exit_status"], outcome["error"]) == ("success", 0, None)
    assert outcome["run_id"] == _runs(workspace)[-1].name
    assert [stage["name"] for stage in outcome["stages"]] == list(STAGES)
    assert outcome["release"]["path"] == str(workspace.release(str(outcome["release"]["version"])))
    assert outcome["data"]["counts"]["test"] == outcome["metrics"]["examples"]
    assert all(check["passed"] for check in outcome["checks"])
    assert Path(outcome["report"]).is_file()
    assert Path(outcome["log"]).is_file()
    assert datetime.fromisoformat(outcome["started"]).tzinfo is not None


def _executions(workspace: Workspace, name: str) -> list[metadata.Stage]:
    store = metadata.open_store(workspace.root / "metadata.sqlite")
    return [metadata.read_run(store, run.name)[name] for run in _runs(workspace)]


def _runs(workspace: Workspace) -> list[Any]:
    store = metadata.open_store(workspace.root / "metadata.sqlite")
    return sorted(store.get_contexts_by_type("pipeline_run"), key=lambda run: run.id)
