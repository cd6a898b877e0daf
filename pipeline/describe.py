"""Says in words what the stages of a run produced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.run_state import Artifact, Stage


def describe_stage(stage: Stage) -> str:
    """What a stage that succeeded produced, in a few words; empty if there is nothing to say."""
    if not stage.succeeded:
        return ""
    for key, describe in _DESCRIPTIONS.items():
        for artifact in stage.outputs.get(key, ()):
            return describe(artifact)
    return ""


def summarise(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str]]:
    """Names and values of a run's results: data, training, gates, release, and times."""
    artifacts = {
        key: list_of_one[0]
        for stage in stages.values()
        for key, list_of_one in stage.outputs.items()
        if list_of_one
    }
    if "examples" in artifacts:
        yield "data", str(artifacts["examples"].properties["source"])
        yield "images", _examples(artifacts["examples"])
        yield "fingerprint", str(artifacts["examples"].properties["fingerprint"])
    if "model_run" in artifacts:
        yield "training", _training(artifacts["model_run"])
    if "blessing" in artifacts:
        yield from (("gate", check) for check in _checks(artifacts["blessing"]))
    pushed = artifacts.get("pushed_model")
    yield "release", _release(pushed) if pushed else "none: nothing was pushed"
    times = (f"{stage.name} {stage.seconds:.1f}" for stage in stages.values())
    yield "seconds", ", ".join(times)


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
        f"{len(history['epochs'])} epochs, "
        f"best validation accuracy {accuracy:.2%} in epoch {best}"
    )


def _verdict(artifact: Artifact) -> str:
    checks = _read(artifact, "verdict.json")["checks"]
    passed = sum(check["passed"] for check in checks)
    word = "blessed" if artifact.properties["blessed"] else "NOT BLESSED"
    return f"{word}: {passed} of {len(checks)} checks passed"


def _checks(artifact: Artifact) -> Iterator[str]:
    for check in _read(artifact, "verdict.json")["checks"]:
        word = "passed" if check["passed"] else "FAILED"
        value = "" if check["value"] is None else f" {check['value']:.6g};"
        yield f"{word}  {check['rule']}:{value} {check['detail']}"


def _release(artifact: Artifact) -> str:
    where = artifact.properties["pushed_destination"]
    return f"{where} (up to date)" if artifact.properties.get("up_to_date") else f"pushed to {where}"


_DESCRIPTIONS: dict[str, Callable[[Artifact], str]] = {
    "examples": _examples,
    "model_run": _training,
    "blessing": _verdict,
    "pushed_model": _release,
}
