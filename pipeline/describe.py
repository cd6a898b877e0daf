"""Says in words what the stages of a run produced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.run_state import Artifact, Stage


def describe_stage(stage: Stage) -> str:
    """What a stage that succeeded produced, in a few words; empty if there is nothing to say."""
    if not stage.succeeded or stage.name not in _DESCRIPTIONS:
        return ""
    key, describe = _DESCRIPTIONS[stage.name]
    return describe(stage.outputs[key][0])


def summarise(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str]]:
    """Names and values of a run's results: data, training, release, and times."""
    artifacts = {
        name: stages[name].outputs[key][0]
        for name, (key, _) in _DESCRIPTIONS.items()
        if name in stages and stages[name].succeeded
    }
    if "MnistExampleGen" in artifacts:
        yield "data", str(artifacts["MnistExampleGen"].properties["source"])
        yield "images", _examples(artifacts["MnistExampleGen"])
        yield "fingerprint", str(artifacts["MnistExampleGen"].properties["fingerprint"])
    if "Trainer" in artifacts:
        yield "training", _training(artifacts["Trainer"])
    pushed = artifacts.get("Pusher")
    yield "release", _release(pushed) if pushed else "none: nothing was pushed"
    times = (f"{stage.name} {stage.seconds:.1f}" for stage in stages.values())
    yield "seconds", ", ".join(times)


def gates(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, threshold, value, verdict and detail of each check of the model, once it is judged."""
    stage = stages.get("ModelGate")
    if stage is None or not stage.succeeded:
        return
    for check in _read(stage.outputs["blessing"][0], "verdict.json")["checks"]:
        threshold, value = (
            "-" if check[key] is None else f"{check[key]:.6g}" for key in ("threshold", "value")
        )
        verdict = "passed" if check["passed"] else "FAILED"
        yield check["name"], threshold, value, verdict, check["detail"]


def _read(artifact: Artifact, name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path(artifact.uri, name).read_text(encoding="utf-8"))
    return values


def _examples(artifact: Artifact) -> str:
    counts = ", ".join(
        f"{artifact.properties[f'count_{split}']:,} {split}"
        for split in ("train", "validation", "test")
    )
    return f"{counts} images"


def _training(artifact: Artifact) -> str:
    history = _read(artifact, "history.json")
    best = history["best_epoch"]
    accuracy = history["epochs"][best - 1]["val_accuracy"]
    return (
        f"{len(history['epochs'])} epochs, best validation accuracy {accuracy:.2%} in epoch {best}"
    )


def _verdict(artifact: Artifact) -> str:
    checks = _read(artifact, "verdict.json")["checks"]
    passed = sum(check["passed"] for check in checks)
    word = "blessed" if artifact.properties["blessed"] else "NOT BLESSED"
    return f"{word}: {passed} of {len(checks)} checks passed"


def _release(artifact: Artifact) -> str:
    where = artifact.properties["pushed_destination"]
    return (
        f"{where} (up to date)" if artifact.properties.get("up_to_date") else f"pushed to {where}"
    )


_DESCRIPTIONS: dict[str, tuple[str, Callable[[Artifact], str]]] = {
    "MnistExampleGen": ("examples", _examples),
    "Trainer": ("model_run", _training),
    "ModelGate": ("blessing", _verdict),
    "Pusher": ("pushed_model", _release),
}
"""For a stage, the output that tells what it did."""
