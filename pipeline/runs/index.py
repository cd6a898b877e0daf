"""Reads all runs of a pipeline root for the index."""

from __future__ import annotations

from pathlib import Path

import ml_metadata

from components.report.content import Report, ReportError, read_report
from components.report.run_index import RunRow, render_index
from models.definition import DATASET
from pipeline.runs import metadata
from pipeline.runs.metadata import Run
from pipeline.runs.outcome import describe_release, has_report, is_data_rejected
from pipeline.runs.report_files import index_file, page_file, write_file
from pipeline.runs.summary import show_time
from pipeline.stages import REPORT


def write_index(store: ml_metadata.MetadataStore, pipeline_root: Path) -> Path:
    """Writes the index of all runs, with links to existing pages, and returns its path.

    Raises:
      OSError: the file can't be written.
    """
    file = index_file(pipeline_root)
    rows = [_read_row(pipeline_root, run) for run in metadata.read_runs(store) if run.stages]
    write_file(file, render_index(DATASET.title, rows))
    return file


def _read_row(pipeline_root: Path, run: Run) -> RunRow:
    page = page_file(pipeline_root, run)
    report, note = _read_report(run)
    return RunRow(
        started=show_time(run.started),
        page=f"{page.parent.name}/{page.name}" if page.is_file() else None,
        outcome="report unreadable" if note else _outcome(run),
        release=describe_release(run.stages),
        report=report,
        note=note,
    )


def _read_report(run: Run) -> tuple[Report | None, str]:
    """Returns the report, and the reason if it can't be read; (None, "") without a report."""
    if not has_report(run.stages):
        return None, ""
    try:
        return read_report(run.stages[REPORT].outputs["report"][0].uri), ""
    except (OSError, ReportError) as error:
        return None, str(error)


def _outcome(run: Run) -> str:
    if is_data_rejected(run.stages):
        return "data rejected"
    if failed := [stage.name for stage in run.stages.values() if not stage.succeeded]:
        return f"{failed[0]} did not succeed"
    return "no verdict"
