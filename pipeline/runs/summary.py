"""Says in words what the stages of a run produced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.model_gate.rules import VERDICT_FILE
from models.progress import HISTORY_FILE
from pipeline.runs.metadata import Artifact, Stage

Outputs = Mapping[str, Sequence[Artifact]]
"""Artifacts of a stage, by output key."""


def describe_stage(stage: Stage) -> str:
    """What a stage that succeeded produced, in a few words; empty if it is none of ours."""
    if not stage.succeeded or stage.name not in _DESCRIPTIONS:
        return ""
    return _DESCRIPTIONS[stage.name](stage.outputs)


def summarise(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str]]:
    """Names and values of a run's results: data, training, release, and times."""
    done = {name: stage.outputs for name, stage in stages.items() if stage.succeeded}
    if "ImageExampleGen" in done:
        examples = done["ImageExampleGen"]["examples"][0]
        yield "data", str(examples.properties["source"])
        yield "images", _counts(examples)
        yield "fingerprint", str(examples.properties["fingerprint"])
    if "Trainer" in done:
        yield "training", _training(done["Trainer"])
    yield "release", _release(done["Pusher"]) if "Pusher" in done else "none: nothing was pushed"
    times = (f"{stage.name} {stage.seconds:.1f}" for stage in stages.values())
    yield "seconds", ", ".join(times)


def gates(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, threshold, value, verdict and detail of each check of the data and of the model."""
    if "DataGate" in stages:
        passed = stages["DataGate"].succeeded
        detail = _SATISFIED if passed else "see the last line"
        yield "data", "-", "-", _verdict_word(passed), detail
    if "ModelGate" not in stages or not stages["ModelGate"].succeeded:
        return
    for check in _checks(stages["ModelGate"].outputs):
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
    splits = ("train", "validation", "test")
    return ", ".join(f"{examples.properties[f'count_{split}']:,} {split}" for split in splits)


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
    return f"model {models[0].id}" if models else "none: no other model was blessed before"


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
    "ImageExampleGen": lambda outputs: f"{_counts(outputs['examples'][0])} images",
    "ImportSchemaGen": lambda _: "the reviewed schema",
    "StatisticsGen": lambda outputs: f"statistics of {_splits(outputs, 'statistics')}",
    "ExampleValidator": lambda outputs: f"anomalies of {_splits(outputs, 'anomalies')}",
    "DataGate": lambda _: _SATISFIED,
    "Transform": lambda _: "the graph that normalises pixels",
    "Trainer": _training,
    "Baseline": _baseline,
    "Evaluator": lambda _: "metrics on the test images",
    "ModelGate": _verdict,
    "RunReport": lambda _: "data, training, answers and verdict, on one page",
    "Pusher": _release,
}
