"""Renders the page of a finished run from its report and ML Metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ml_metadata

from components.common.errors import describe_os_error
from components.common.provenance import Data
from components.example_gen.splits import SPLITS
from components.model_gate.rules import VerdictError, read_verdict
from components.report.content import ReportError, read_report
from components.report.facts import BlessedModel, Lineage, RunFacts, StageTime
from components.report.page import render, render_rejection
from pipeline.runs import metadata
from pipeline.runs.data_checks import read_data_checks
from pipeline.runs.index import write_index
from pipeline.runs.lineage import read_lineage
from pipeline.runs.metadata import Artifact, Run, Stage
from pipeline.runs.outcome import describe_release, has_page, has_report
from pipeline.runs.report_files import INDEX_PAGE, page_file, write_file
from pipeline.runs.summary import show_time
from pipeline.stages import EXAMPLE_GEN, MODEL_GATE, PUSHER, REPORT

_HISTORY = 20
_NOT_RUN = ("CACHED", "CANCELED")


def write_newest(pipeline_root: Path, output: Path | None = None) -> Path:
    """Writes the page of the newest run with a page, and the index of all runs.

    A run has a page if it wrote a report, or if the data gate rejected its data.

    Args:
      pipeline_root: pipeline root of the runs.
      output: file to write; None selects `<pipeline root>/reports/<run>/report.html`.

    Returns:
      Path of the page.

    Raises:
      ReportError: there is no report, or it can't be read or written. The message is one line.
    """
    store = _open_runs(pipeline_root)
    run = next((run for run in metadata.read_runs(store) if has_page(run.stages)), None)
    if run is None:
        raise ReportError(
            f"no run with a report found in {pipeline_root}: start one with `make run`"
        )
    file = output or page_file(pipeline_root, run)
    try:
        write_file(file, _render(store, run, None if output else f"../{INDEX_PAGE}"))
        write_index(store, pipeline_root)
    except OSError as error:
        raise ReportError(f"the report of run {run.name}: {describe_os_error(error)}") from error
    except ReportError as error:
        raise ReportError(f"{error}; run the pipeline again to make a new one") from error
    return file


def write_all_runs(pipeline_root: Path) -> Path:
    """Writes the index of all runs and returns its path.

    Raises:
      ReportError: there are no runs, or the index can't be written. The message is one line.
    """
    try:
        return write_index(_open_runs(pipeline_root), pipeline_root)
    except OSError as error:
        raise ReportError(f"the index of runs: {describe_os_error(error)}") from error


def _open_runs(pipeline_root: Path) -> ml_metadata.MetadataStore:
    database = pipeline_root / "metadata.sqlite"
    if not database.is_file():
        raise ReportError(
            f"no runs found in {pipeline_root}: start one with `make run`, "
            "or choose another root with --pipeline-root"
        )
    try:
        return metadata.open_store(database)
    except (RuntimeError, ml_metadata.errors.StatusError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ReportError(f"{database} can't be read: {reason}") from error


def _render(store: ml_metadata.MetadataStore, run: Run, index: str | None) -> str:
    facts = read_facts(store, run, index)
    if not has_report(run.stages):
        return render_rejection(_data(run.stages[EXAMPLE_GEN]), facts)
    directory = run.stages[REPORT].outputs["report"][0].uri
    return render(read_report(directory), Path(directory), facts)


def _data(example_gen: Stage) -> Data:
    properties = example_gen.outputs["examples"][0].properties
    return Data(
        source=properties.get("source"),
        fingerprint=properties.get("fingerprint"),
        counts={s: properties[f"count_{s}"] for s in SPLITS if f"count_{s}" in properties},
    )


def read_facts(store: ml_metadata.MetadataStore, run: Run, index: str | None = None) -> RunFacts:
    """Reads the facts that are known only after the run.

    Args:
      store: ML Metadata of the pipeline root.
      run: a run in the store.
      index: URL of the index of runs, relative to the page.
    """
    return RunFacts(
        started=show_time(run.started),
        seconds=_seconds(store, run),
        release=describe_release(run.stages),
        stages=stage_times(run),
        history=_history(store, _blessed_model(run.stages)),
        lineage=_lineage(store, run.stages),
        data_checks=read_data_checks(run.stages),
        index=index,
    )


def _seconds(store: ml_metadata.MetadataStore, run: Run) -> float:
    ids = [stage.execution_id for stage in run.stages.values()]
    executions = store.get_executions_by_id(ids)
    began = min(execution.create_time_since_epoch for execution in executions)
    ended = max(execution.last_update_time_since_epoch for execution in executions)
    return (ended - began) / 1000


def stage_times(run: Run) -> tuple[StageTime, ...]:
    """Returns the duration of each stage, absolute and relative to the longest stage."""
    stages = run.stages
    seconds = {
        name: 0 if stage.state in _NOT_RUN else stage.seconds for name, stage in stages.items()
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
    """Returns the newest blessed models, each with its newest blessing."""
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
        when = show_time(metadata.local_time(message.create_time_since_epoch))
        models[model] = BlessedModel(model, when, accuracy, model == current)
    return tuple(reversed(models.values()))


def _accuracy(blessing: Artifact) -> float | None:
    """Returns the accuracy in the verdict; None if the verdict is missing or unreadable."""
    try:
        return read_verdict(blessing.uri).metrics.get("accuracy")
    except (OSError, VerdictError):
        return None


def _lineage(store: ml_metadata.MetadataStore, stages: Mapping[str, Stage]) -> Lineage | None:
    """Reads the lineage of the pushed model, or else of the verdict."""
    for name, key in ((PUSHER, "pushed_model"), (MODEL_GATE, "blessing")):
        if name in stages and stages[name].succeeded:
            return read_lineage(store, stages[name].outputs[key][0].id)
    return None
