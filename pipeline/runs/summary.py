"""Describes the results of a run's stages in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.example_gen.splits import SPLITS
from components.model_gate.rules import VERDICT_FILE
from models.progress import HISTORY_FILE
from pipeline.stages import (
    BASELINE,
    DATA_GATE,
    EVALUATOR,
    EXAMPLE_GEN,
    EXAMPLE_VALIDATOR,
    MODEL_GATE,
    PUSHER,
    REPORT,
    SCHEMA_GEN,
    STATISTICS_GEN,
    TRAINER,
    TRANSFORM,
)

if TYPE_CHECKING:
    # ML Metadata takes a moment to import, and the command line imports this module for its help.
    from pipeline.runs.metadata import Artifact, Stage

Outputs = Mapping[str, Sequence["Artifact"]]
"""Artifacts of a stage, by output key."""


def describe_stage(stage: Stage) -> str:
    """The result of a stage in a few words; empty if it failed, or is not in the pipeline."""
    if not stage.succeeded or stage.name not in _DESCRIPTIONS:
        return ""
    return _DESCRIPTIONS[stage.name](stage.outputs)


def summarize(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str]]:
    """Names and values of a run's results: data, training, release, time of each stage."""
    done = {name: stage.outputs for name, stage in stages.items() if stage.succeeded}
    if EXAMPLE_GEN in done:
        examples = done[EXAMPLE_GEN]["examples"][0]
        yield "data", str(examples.properties["source"])
        yield "images", _counts(examples)
        yield "fingerprint", str(examples.properties["fingerprint"])
    if TRAINER in done:
        yield "training", _training(done[TRAINER])
    yield "release", _release(done[PUSHER]) if PUSHER in done else "none (nothing was pushed)"
    times = (f"{stage.name} {stage.seconds:.1f} s" for stage in stages.values())
    yield "stage times", ", ".join(times)


def gates(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, threshold, value, verdict and detail of each check of the data and the model."""
    if DATA_GATE in stages:
        passed = stages[DATA_GATE].succeeded
        detail = _SATISFIED if passed else "see the error below"
        yield "data", "-", "-", _verdict_word(passed), detail
    if MODEL_GATE not in stages or not stages[MODEL_GATE].succeeded:
        return
    for check in _checks(stages[MODEL_GATE].outputs):
        threshold, value = (
            "-" if check[key] is None else f"{check[key]:.6g}" for key in ("threshold", "value")
        )
        yield check["name"], threshold, value, _verdict_word(check["passed"]), check["detail"]


_SATISFIED = "every split satisfies the reviewed schema"


def _verdict_word(passed: bool) -> str:
    return "passed" if passed else "FAILED"


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
    return (
        f"{len(history['epochs'])} epochs, best validation accuracy {accuracy:.2%} in epoch {best}"
    )


def _baseline(outputs: Outputs) -> str:
    models = outputs.get("model")
    return f"model {models[0].id}" if models else "none yet"


def _checks(outputs: Outputs) -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = _read(outputs["blessing"][0], VERDICT_FILE)["checks"]
    return checks


def _verdict(outputs: Outputs) -> str:
    checks = _checks(outputs)
    passed = sum(check["passed"] for check in checks)
    word = "blessed" if outputs["blessing"][0].properties["blessed"] else "NOT BLESSED"
    return f"{word}: {passed} of {len(checks)} checks passed"


def _release(outputs: Outputs) -> str:
    properties = outputs["pushed_model"][0].properties
    where = properties["pushed_destination"]
    return f"{where} (up to date)" if properties["up_to_date"] else f"pushed to {where}"


_DESCRIPTIONS: dict[str, Callable[[Outputs], str]] = {
    EXAMPLE_GEN: lambda outputs: f"{_counts(outputs['examples'][0])} images",
    SCHEMA_GEN: lambda _: "reviewed schema",
    STATISTICS_GEN: lambda outputs: f"statistics of {_splits(outputs, 'statistics')}",
    EXAMPLE_VALIDATOR: lambda outputs: f"anomalies of {_splits(outputs, 'anomalies')}",
    DATA_GATE: lambda _: _SATISFIED,
    TRANSFORM: lambda _: "preprocessing graph",
    TRAINER: _training,
    BASELINE: _baseline,
    EVALUATOR: lambda _: "metrics on the test images",
    MODEL_GATE: _verdict,
    REPORT: lambda _: "data, training, verdict and predictions on one page",
    PUSHER: _release,
}
