"""Describes the results of a run's stages, as text and as JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.example_gen.splits import SPLITS
from components.model_gate.checks import Row
from components.model_gate.rules import Verdict, read_verdict
from components.report.rendering import words
from models.progress import HISTORY_FILE
from pipeline.stages import (
    BASELINE,
    DATA_GATE,
    EVALUATOR,
    EXAMPLE_GEN,
    EXAMPLE_VALIDATOR,
    IMAGE_VALIDATOR,
    MODEL_GATE,
    PUSHER,
    REPORT,
    SCHEMA_GEN,
    STATISTICS_GEN,
    TRAINER,
    TRANSFORM,
)

if TYPE_CHECKING:
    # Importing ML Metadata is slow, and the command line imports this module for its help.
    from pipeline.runs.metadata import Artifact, Stage

Outputs = Mapping[str, Sequence["Artifact"]]
"""Artifacts of a stage, by output key."""


def describe_stage(stage: Stage) -> str:
    """Describes the result of a stage in a few words; empty if the stage failed or is unknown."""
    if stage.state == "CANCELED":
        return "model rejected"
    if not stage.succeeded or stage.name not in _DESCRIPTIONS:
        return ""
    return _DESCRIPTIONS[stage.name](stage.outputs)


def summarize(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str]]:
    """Yields names and values of a run's results: data, training, release, stage times."""
    done = _outputs(stages)
    if EXAMPLE_GEN in done:
        examples = done[EXAMPLE_GEN]["examples"][0]
        yield "data", str(examples.properties["source"])
        yield "images", _counts(examples)
        yield "fingerprint", str(examples.properties["fingerprint"])
    if TRAINER in done:
        yield "training", _training(done[TRAINER])
    yield "release", _release(done[PUSHER]) if PUSHER in done else "none (nothing was pushed)"
    yield (
        "stage times",
        ", ".join(
            f"{stage.name} {stage.seconds:.1f} s"
            for stage in stages.values()
            if stage.state != "CANCELED"
        ),
    )


def gates(stages: Mapping[str, Stage]) -> Iterator[tuple[str, Row, bool]]:
    """Yields the gate ("data" or "model"), the text and the outcome of each check."""
    if DATA_GATE in stages:
        passed = stages[DATA_GATE].succeeded
        detail = _SATISFIED if passed else "see the error below"
        yield "data", Row("schema", "", "", "", detail), passed
    verdict = read_run_verdict(stages)
    for check in verdict.checks if verdict else ():
        yield "model", check.row, check.passed


def read_run_verdict(stages: Mapping[str, Stage]) -> Verdict | None:
    """Reads the verdict on the model of a run; None if the model gate did not complete."""
    outputs = _outputs(stages).get(MODEL_GATE)
    return read_verdict(outputs["blessing"][0].uri) if outputs else None


def run_facts(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Returns the results of a run as JSON values, documented in the help of `run`."""
    done = _outputs(stages)
    verdict = read_run_verdict(stages)
    return {
        "data": _data_facts(done[EXAMPLE_GEN]) if EXAMPLE_GEN in done else None,
        "training": _training_facts(done[TRAINER]) if TRAINER in done else None,
        "metrics": verdict.metrics if verdict else {},
        "checks": [check.model_dump() for check in verdict.checks] if verdict else [],
        "release": _release_facts(done[PUSHER]) if PUSHER in done else None,
        "stages": [
            {"name": stage.name, "state": stage.state, "seconds": stage.seconds}
            for stage in stages.values()
        ],
    }


def format_metrics(metrics: Mapping[str, float | None]) -> Iterator[str]:
    """Formats each metric that has a value, such as "validation accuracy 99.10%"."""
    for name, value in metrics.items():
        if value is not None:
            yield f"{words(name)} {_metric(name, value)}"


def show_time(when: datetime) -> str:
    """Formats a time with its zone: "2026-11-22 17:18 CET"."""
    return f"{when:%Y-%m-%d %H:%M %Z}"


def _metric(name: str, value: float) -> str:
    if name.endswith("accuracy"):
        return f"{value:.2%}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if name.endswith("loss") else f"{value:.4g}"


_SATISFIED = "every split satisfies the reviewed schema"


def _outputs(stages: Mapping[str, Stage]) -> dict[str, Outputs]:
    """Returns the outputs of the successful stages, by component id."""
    return {name: stage.outputs for name, stage in stages.items() if stage.succeeded}


def _data_facts(outputs: Outputs) -> dict[str, Any]:
    properties = outputs["examples"][0].properties
    counts = {split: properties[f"count_{split}"] for split in SPLITS}
    return {key: properties[key] for key in ("source", "fingerprint")} | {"counts": counts}


def _training_facts(outputs: Outputs) -> dict[str, Any]:
    history = _read(outputs["model_run"][0], HISTORY_FILE)
    names = ("best_epoch", "precision", "hardware")
    return {"epochs": len(history["epochs"])} | {name: history.get(name) for name in names}


def _release_facts(outputs: Outputs) -> dict[str, Any]:
    properties = outputs["pushed_model"][0].properties
    return {
        "version": int(properties["pushed_version"]),
        "path": properties["pushed_destination"],
        "up_to_date": bool(properties["up_to_date"]),
    }


def _read(artifact: Artifact, name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path(artifact.uri, name).read_text(encoding="utf-8"))
    return values


def _counts(examples: Artifact) -> str:
    return ", ".join(f"{examples.properties[f'count_{split}']:,} {split}" for split in SPLITS)


def _splits(outputs: Outputs, key: str) -> str:
    return ", ".join(json.loads(outputs[key][0].properties["split_names"]))


def _training(outputs: Outputs) -> str:
    history = _read(outputs["model_run"][0], HISTORY_FILE)
    best = history["best_epoch"]
    accuracy = history["epochs"][best - 1]["val_accuracy"]
    epochs = len(history["epochs"])
    plural = "" if epochs == 1 else "s"
    precision = f" in {history['precision']}" if history.get("precision") else ""
    return (
        f"{epochs} epoch{plural}{precision}, "
        f"validation accuracy {accuracy:.2%} in the exported epoch, {best}"
    )


def _baseline(outputs: Outputs) -> str:
    models = outputs.get("model")
    return f"version {models[0].properties['version']}" if models else "none yet"


def _verdict(outputs: Outputs) -> str:
    verdict = read_verdict(outputs["blessing"][0].uri)
    passed = sum(check.passed for check in verdict.checks)
    word = "blessed" if verdict.blessed else "NOT BLESSED"
    return f"{word}: {passed} of {len(verdict.checks)} checks passed"


def _release(outputs: Outputs) -> str:
    properties = outputs["pushed_model"][0].properties
    where = properties["pushed_destination"]
    return f"{where} (up to date)" if properties["up_to_date"] else f"pushed to {where}"


_DESCRIPTIONS: dict[str, Callable[[Outputs], str]] = {
    EXAMPLE_GEN: lambda outputs: f"{_counts(outputs['examples'][0])} images",
    SCHEMA_GEN: lambda _: "schema imported",
    STATISTICS_GEN: lambda outputs: f"statistics of {_splits(outputs, 'statistics')}",
    EXAMPLE_VALIDATOR: lambda outputs: f"anomalies of {_splits(outputs, 'anomalies')}",
    IMAGE_VALIDATOR: lambda outputs: f"images of {_splits(outputs, 'anomalies')}",
    DATA_GATE: lambda _: _SATISFIED,
    TRANSFORM: lambda _: "preprocessing graph",
    TRAINER: _training,
    BASELINE: _baseline,
    EVALUATOR: lambda _: "metrics on the test images",
    MODEL_GATE: _verdict,
    REPORT: lambda _: "data, training, verdict and predictions",
    PUSHER: _release,
}
