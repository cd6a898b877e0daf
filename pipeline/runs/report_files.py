"""Paths and writing of the report files in a pipeline root."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from components.report.content import REPORT_PAGE
from pipeline.runs.metadata import Run

INDEX_PAGE = "index.html"


def page_file(pipeline_root: Path, run: Run) -> Path:
    """Returns `<pipeline root>/reports/<start of the run>/report.html`."""
    # TFX uses the start time as the run id, in a format with colons.
    directory = f"{datetime.fromisoformat(run.name):%Y%m%dT%H%M%S}"
    return pipeline_root / "reports" / directory / REPORT_PAGE


def index_file(pipeline_root: Path) -> Path:
    """Returns `<pipeline root>/reports/index.html`."""
    return pipeline_root / "reports" / INDEX_PAGE


def write_file(file: Path, html: str) -> None:
    """Writes a page atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(html, encoding="utf-8")
    partial.replace(file)
