"""Suggests commands to run next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from components.model_gate.rules import Verdict
from pipeline.cli.commands import PROGRAM
from pipeline.cli.options import option_name
from pipeline.settings import Settings

_THRESHOLDS = {
    "examples": "min_test_examples",
    "class_examples": "min_class_examples",
    "accuracy": "accuracy_threshold",
    "class_recall": "class_recall_threshold",
    "loss": "max_loss",
    "size": "max_model_mb",
    "latency": "max_latency_ratio",
    "calibration": "max_calibration_error",
    "overconfidence": "max_overconfidence",
    "regression": "baseline_alpha",
    "class_regression": "baseline_alpha",
    "best_release": "baseline_alpha",
}
"""The setting with the threshold of each check, by the check's name."""


def after_success(settings: Settings) -> list[str]:
    """Returns lines with commands to explore the results."""
    steps = {
        command("report", "--open", *_option(settings, "pipeline_root")): "open the report",
        command("serve", *_option(settings, "serving_dir")): "try the model in a browser",
        command("predict", "PICTURE", *_option(settings, "serving_dir")): "classify a picture",
    }
    width = max(map(len, steps))
    return [f"{step:<{width}}  {purpose}" for step, purpose in steps.items()]


def after_rejection(settings: Settings, verdict: Verdict | None) -> list[str]:
    """Returns lines with ways to find and fix the cause of a rejection."""
    report = command("report", "--open", *_option(settings, "pipeline_root"))
    failed = dict.fromkeys(
        _THRESHOLDS[check.name]
        for check in (verdict.checks if verdict else ())
        if not check.passed and check.name in _THRESHOLDS
    )
    if not failed:
        return [report]
    thresholds = " and ".join(
        f"{option_name(name)} (now {getattr(settings.gate, name)})" for name in failed
    )
    training = settings.training
    # With a minimum number of steps, the data may have needed more epochs.
    epochs = "" if training.min_steps else f" (now {training.epochs})"
    return [
        f"{report}  see which images were misclassified",
        f"Then train longer with --epochs{epochs}, or review {thresholds}.",
    ]


def command(*words: str) -> str:
    """Returns a command line of this program that works in the current directory and shell."""
    return f"{_program()} {shlex.join(words)}"


def _program() -> str:
    script = Path(sys.executable).with_name(PROGRAM)
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m pipeline"
    on_path = shutil.which(PROGRAM)
    if on_path and script.samefile(on_path):
        return PROGRAM
    nearby = os.path.relpath(script)
    return shlex.quote(str(script) if nearby.startswith(os.pardir) else nearby)


def _option(settings: Settings, name: str) -> list[str]:
    """Returns the option for a directory; empty if the directory is the default."""
    directory = getattr(settings, name)
    if directory == Settings.model_fields[name].default:
        return []
    return [option_name(name), str(directory)]
