"""Runs the command as a process: exit status, concurrent runs, resuming after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.forks import ROOT
from support.pipeline_runs import Workspace

from pipeline.runs import metadata
from pipeline.runs.root_lock import locked
from pipeline.stages import TRAINER


def _command(workspace: Workspace, *options: str) -> Sequence[str]:
    values = workspace.settings()
    given = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    return [sys.executable, "-m", "pipeline", "run", *given, *options]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs=0"], "Error: epochs: Input should be greater than or equal to 1, received '0'"),
        (["--color=red"], "Error: No such option '--color'"),
        (["--baseline=pushed"], "Error: baseline: pushed is for Kubeflow; choose newest or none"),
        (["--schema-file=absent.pbtxt"], "Error: schema_file: "),
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
    process = _run(_command(workspace, f"--settings={path}", "--seed=1"))
    assert process.returncode == 2
    assert process.stderr.startswith("Error: limit: ")
    assert "seed" not in process.stderr


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
    process = _run(_command(workspace, f"--pipeline-root={tmp_path}/file/root"))
    assert process.returncode == 1
    assert process.stdout.startswith("Error: ")
    assert "file" in process.stdout
    assert not process.stderr


def test_interrupted_training_resumes_from_its_last_completed_epoch(workspace: Workspace) -> None:
    command = _command(workspace, "--epochs=6", "--early-stopping-patience=6")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "epoch 3/6" in line:
                os.kill(process.pid, signal.SIGKILL)
                break
    (killed,) = _executions(workspace, TRAINER)
    assert killed.state == "RUNNING"

    resumed = _run(command)
    assert resumed.returncode == 0, resumed.stdout
    assert "epoch 1/6" not in resumed.stdout
    assert "epoch 6/6" in resumed.stdout
    assert f"{TRAINER:<18}done" in resumed.stdout
    assert "6 epochs, best" in resumed.stdout
    assert [stage.state for stage in _executions(workspace, TRAINER)] == ["FAILED", "COMPLETE"]


def _executions(workspace: Workspace, name: str) -> list[metadata.Stage]:
    store = metadata.open_store(workspace.root / "metadata.sqlite")
    runs = sorted(store.get_contexts_by_type("pipeline_run"), key=lambda run: run.id)
    return [metadata.read_run(store, run.name)[name] for run in runs]
