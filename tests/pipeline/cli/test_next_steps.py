"""The suggested commands work exactly as printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from components.model_gate.checks import Check
from components.model_gate.rules import Verdict, reject
from pipeline.cli.next_steps import after_rejection, after_success, command
from pipeline.settings import make_settings


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program of a virtual environment in the current directory."""
    bin_ = tmp_path / "my env" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "mnist-pipeline").write_text('#!/bin/sh\necho "$@"\n')
    (bin_ / "mnist-pipeline").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(bin_ / "python"))
    return bin_ / "mnist-pipeline"


def test_program_below_the_current_directory_has_a_relative_path(
    script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert command("serve") == "'my env/bin/mnist-pipeline' serve"
    shown = subprocess.run(command("serve"), shell=True, capture_output=True, text=True, check=True)
    assert shown.stdout == "serve\n"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert command("serve") == f"'{script}' serve"


def test_program_on_the_path_is_named_alone(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(script.parent))
    assert command("serve") == "mnist-pipeline serve"


def test_without_the_program_the_module_is_run(script: Path) -> None:
    script.unlink()
    assert command("serve") == f"'{sys.executable}' -m pipeline serve"


def test_only_directories_other_than_the_defaults_are_named(
    monkeypatch: pytest.MonkeyPatch, script: Path
) -> None:
    monkeypatch.setenv("PATH", str(script.parent))
    report, serve, predict = after_success(make_settings({"serving_dir": "my models"}))
    assert report.split("  ")[0] == "mnist-pipeline report --open"
    assert serve.split("  ")[0] == "mnist-pipeline serve --serving-dir 'my models'"
    assert predict.split("  ")[0] == "mnist-pipeline predict PICTURE --serving-dir 'my models'"


def test_rejection_suggests_the_thresholds_of_the_failed_checks() -> None:
    checks = tuple(
        Check(name=name, rule="", threshold=1, value=0.5, passed=passed, detail="")
        for name, passed in {"accuracy": False, "class_recall": True, "loss": False}.items()
    )
    verdict = Verdict(blessed=False, model_sha256="", checks=checks)
    _, advice = after_rejection(make_settings({"epochs": 3}), verdict)
    assert advice == (
        "Then train longer with --epochs (now 3), "
        "or review --accuracy-threshold (now 0.95) and --max-loss (now 0.25)."
    )
    _, advice = after_rejection(make_settings(), verdict)
    assert advice.startswith("Then train longer with --epochs, or review ")


def test_rejection_without_a_failed_threshold_suggests_only_the_report() -> None:
    (line,) = after_rejection(make_settings(), reject("the metrics can't be read"))
    assert line.endswith("report --open")
