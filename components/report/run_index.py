"""Renders the index of all runs of a pipeline root."""

from __future__ import annotations

from dataclasses import dataclass

from components.report.content import Report
from components.report.rendering import render_template

_TEMPLATE = "index.html.j2"


@dataclass(frozen=True)
class RunRow:
    """A run in the index.

    Attributes:
      started: start time, formatted.
      page: URL of the run's page, relative to the index; None without a page.
      outcome: outcome of a run without a readable report.
      release: outcome of the push, as text.
      report: None if the run has no readable report.
      note: the reason why the report can't be read; may be empty.
    """

    started: str
    page: str | None
    outcome: str
    release: str
    report: Report | None
    note: str


@dataclass(frozen=True)
class Comparison:
    """The difference between a run and the previous run with a report.

    Attributes:
      accuracy: change in accuracy, as a fraction; None if either value is unknown.
      loss: change in loss; None if either value is unknown.
      settings: each changed setting, such as "epochs 2 → 30".
    """

    accuracy: float | None
    loss: float | None
    settings: tuple[str, ...]


def render_index(title: str, rows: list[RunRow]) -> str:
    """Renders the index.

    Args:
      title: title of the data set.
      rows: all runs, newest first.

    Returns:
      HTML. All text is escaped.
    """
    pairs = [(row, _comparison(row, rows[i + 1 :])) for i, row in enumerate(rows)]
    return render_template(_TEMPLATE, title=title, pairs=pairs)


def compare(report: Report, previous: Report) -> Comparison:
    """Compares a run's report with an earlier one."""
    now, before = _settings(report), _settings(previous)
    changed = (name for name in before | now if now.get(name) != before.get(name))
    return Comparison(
        accuracy=_difference(report, previous, "accuracy"),
        loss=_difference(report, previous, "loss"),
        settings=tuple(
            f"{name} {before.get(name, 'none')} → {now.get(name, 'none')}" for name in changed
        ),
    )


def _comparison(row: RunRow, earlier: list[RunRow]) -> Comparison | None:
    previous = next((other.report for other in earlier if other.report), None)
    return compare(row.report, previous) if row.report and previous else None


def _difference(report: Report, previous: Report, metric: str) -> float | None:
    now, before = (r.verdict.metrics.get(metric) if r.verdict else None for r in (report, previous))
    return None if now is None or before is None else now - before


def _settings(report: Report) -> dict[str, str]:
    hyperparameters = {name.replace("_", " "): str(v) for name, v in report.hyperparameters.items()}
    git = report.git
    if report.training and report.training.precision:  # "auto" in the hyperparameters.
        hyperparameters["precision"] = report.training.precision
    return hyperparameters | {
        "data": f"{report.data.source or 'unknown'} {(report.data.fingerprint or '')[:8]}".strip(),
        "images": f"{sum(report.data.counts.values()):,}",
        "code": f"{git.commit[:8]}{' with changes' if git.dirty else ''}" if git else "unknown",
    }
