"""Renders the page of a finished run: its report, and facts from ML Metadata."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import ml_metadata

from components.model_gate.rules import VERDICT_FILE, Verdict, VerdictError
from components.report.content import REPORT_CONTENT, REPORT_PAGE, Report, ReportError
from components.report.page import BlessedModel, Lineage, RunFacts, StageTime, render
from pipeline.runs import metadata
from pipeline.runs.lineage import read_lineage
from pipeline.runs.metadata import Artifact, Run, Stage
from pipeline.stages import MODEL_GATE, PUSHER, REPORT

REPORTS = "reports"
_HISTORY = 20


def write_newest(pipeline_root: Path, output: Path | None = None) -> Path:
    """Renders the page of the newest run that has a report.

    Args:
      pipeline_root: of the runs.
      output: file to write; None for `<pipeline root>/reports/<run>/report.html`.

    Returns:
      The file.

    Raises:
      ReportError: there is no report, or it can't be read or written; in one line.
    """
    database = pipeline_root / "metadata.sqlite"
    if not database.is_file():
        raise ReportError(
            f"no runs found in {pipeline_root}: start one with `make run`, "
            "or name another root with --pipeline-root"
        )
    store = metadata.open_store(database)
    run = metadata.newest_run_with(store, REPORT)
    if run is None:
        raise ReportError(
            f"no run with a report found in {pipeline_root}: start one with `make run`"
        )
    # TFX names a run by its start time, in a form with colons.
    directory = f"{datetime.fromisoformat(run.name):%Y%m%dT%H%M%S}"
    file = output or pipeline_root / REPORTS / directory / REPORT_PAGE
    try:
        return _write(store, run, file)
    except OSError as error:
        raise ReportError(f"the report of run {run.name}: {error}") from error


def _write(store: ml_metadata.MetadataStore, run: Run, file: Path) -> Path:
    directory = Path(run.stages[REPORT].outputs["report"][0].uri)
    report = Report.from_json((directory / REPORT_CONTENT).read_text(encoding="utf-8"))
    html = render(report, directory, read_facts(store, run))
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(html, encoding="utf-8")
    return partial.replace(file)


def read_facts(store: ml_metadata.MetadataStore, run: Run) -> RunFacts:
    """Reads the facts that are known only after the run."""
    return RunFacts(
        started=f"{run.started:%Y-%m-%d %H:%M}",
        release=_release(run.stages),
        stages=stage_times(run),
        history=_history(store, _blessed_model(run.stages)),
        lineage=_lineage(store, run.stages),
    )


def _release(stages: Mapping[str, Stage]) -> str:
    pusher = stages.get(PUSHER)
    if pusher is None or not pusher.succeeded:
        return "not pushed"
    properties = pusher.outputs["pushed_model"][0].properties
    word = "already released as" if properties["up_to_date"] else "released as"
    return f"{word} version {properties['pushed_version']}"


def stage_times(run: Run) -> tuple[StageTime, ...]:
    """Returns the duration of each stage, also as a share of the longest."""
    stages = run.stages
    seconds = {
        name: 0 if stage.state == "CACHED" else stage.seconds for name, stage in stages.items()
    }
    longest = max(seconds.values(), default=0) or 1
    return tuple(
        StageTime(name, stage.state.lower(), stage.seconds, seconds[name] / longest)
        for name, stage in stages.items()
    )


def _blessed_model(stages: Mapping[str, Stage]) -> int | None:
    if MODEL_GATE not in stages or not stages[MODEL_GATE].succeeded:
        return None
    return _model_of(stages[MODEL_GATE].outputs["blessing"][0])


def _model_of(blessing: Artifact) -> int | None:
    value = blessing.properties.get("current_model_id")
    return None if value is None else int(value)


def _history(store: ml_metadata.MetadataStore, current: int | None) -> tuple[BlessedModel, ...]:
    """Returns the newest blessed models; of several blessings of a model, the newest counts."""
    models: dict[int, BlessedModel] = {}
    messages = store.get_artifacts_by_type("ModelBlessing")
    for message in sorted(messages, key=lambda message: message.id, reverse=True):
        blessing = metadata.to_artifact(message)
        model = _model_of(blessing)
        if len(models) == _HISTORY or blessing.properties.get("blessed") != 1:
            continue
        accuracy = _accuracy(blessing)
        if model is None or model in models or accuracy is None:
            continue
        when = f"{metadata.local_time(message.create_time_since_epoch):%Y-%m-%d %H:%M}"
        models[model] = BlessedModel(model, when, accuracy, model == current)
    return tuple(reversed(models.values()))


def _accuracy(blessing: Artifact) -> float | None:
    """Returns None if the verdict is gone, or in another format."""
    path = Path(blessing.uri, VERDICT_FILE)
    try:
        return Verdict.from_json(path.read_text(encoding="utf-8")).metrics.get("accuracy")
    except (OSError, VerdictError):
        return None


def _lineage(store: ml_metadata.MetadataStore, stages: Mapping[str, Stage]) -> Lineage | None:
    """Reads the lineage of the pushed model, or else of the verdict."""
    for name, key in ((PUSHER, "pushed_model"), (MODEL_GATE, "blessing")):
        if name in stages and stages[name].succeeded:
            return read_lineage(store, stages[name].outputs[key][0].id)
    return None
