"""Renders the page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.report.content import Report

_TEMPLATE = "page.html.j2"
_CSS = "page.css"
_UNKNOWN = "-"


@dataclass(frozen=True)
class StageTime:
    """The duration of a stage.

    Attributes:
      state: in ML Metadata, in lower case: complete, cached, failed …
      share: of the longest stage's time, from 0 to 1; 0 if the stage was cached.
    """

    name: str
    state: str
    seconds: float
    share: float


@dataclass(frozen=True)
class LineageRow:
    """A node of the lineage graph, with one node in each row.

    Attributes:
      title: name and id, or time.
      detail: may be empty.
      kind: `artifact` or `stage`.
      lane: column of its dot, from 0.
    """

    title: str
    detail: str
    kind: str
    lane: int


@dataclass(frozen=True)
class LineageEdge:
    """A line from a row down to a lower one, in a lane."""

    top: int
    bottom: int
    start_lane: int
    lane: int


@dataclass(frozen=True)
class Lineage:
    """A graph laid out like a version history: the sources of a row are below it."""

    rows: tuple[LineageRow, ...]
    edges: tuple[LineageEdge, ...]

    @property
    def lanes(self) -> int:
        """Number of columns."""
        return 1 + max([edge.lane for edge in self.edges] + [row.lane for row in self.rows])


@dataclass(frozen=True)
class BlessedModel:
    """A model that passed the gate.

    Attributes:
      id: in ML Metadata.
      when: time of the blessing, for people.
      accuracy: on the test examples at that time.
      current: whether this run produced the model.
    """

    id: int
    when: str
    accuracy: float
    current: bool


@dataclass(frozen=True)
class RunFacts:
    """Facts that are known only after the run.

    Attributes:
      started: time, for people.
      release: the outcome of the push, in words.
      stages: in the order in which they ran.
      history: the newest blessed models, in ascending order.
      lineage: of the pushed model, or else of the verdict; None if there is neither.
    """

    started: str
    release: str
    stages: tuple[StageTime, ...]
    history: tuple[BlessedModel, ...]
    lineage: Lineage | None


def render(report: Report, directory: Path, run: RunFacts | None = None) -> str:
    """Renders the page.

    Args:
      report: the content.
      directory: with the report's pictures.
      run: adds sections about the finished run; None for a page made before the push.

    Returns:
      HTML with embedded pictures; all text is escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    here = Path(__file__).parent
    names = dict(enumerate(report.data.class_names))
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": _percent,
        "number": _number,
        "grouped": _grouped,
        "duration": _duration,
        "short_uri": short_uri,
    }
    environment.filters |= filters
    environment.globals |= {
        "inline": lambda name: _data_uri(directory / name),
        "chart": _chart,
        "class_name": lambda label: names.get(label, label),
        "lane_path": lane_path,
    }
    # The style sheet is our own; everything else is escaped.
    css = Markup((here / _CSS).read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template(_TEMPLATE).render(r=report, run=run, css=css)


def short_uri(uri: str) -> str:
    """Keeps the end of a path or URI, which identifies an artifact within its pipeline root."""
    parts = [part for part in re.split(r"[/\\]", uri) if part]
    return uri if len(parts) <= 3 else "…/" + "/".join(parts[-3:])  # noqa: PLR2004


def lane_path(edge: LineageEdge, lane_width: float, row_height: float) -> str:
    """Returns the SVG path of an edge: it bends into its lane, and ends at the lower dot."""
    x0, x1 = ((lane + 0.5) * lane_width for lane in (edge.start_lane, edge.lane))
    y0, y1 = ((row + 0.5) * row_height for row in (edge.top, edge.bottom))
    bend, middle = y0 + row_height, y0 + row_height / 2
    return f"M{x0:g} {y0:g}C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {bend:g}V{y1:g}"


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _grouped(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _percent(value: float | None, digits: int = 2) -> str:
    return _UNKNOWN if value is None else f"{value * 100:.{digits}f}%"


def _number(value: float | None, digits: int = 6) -> str:
    return _UNKNOWN if value is None else f"{value:.{digits}g}"


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _chart(models: tuple[BlessedModel, ...], width: float, height: float) -> Mapping[str, Any]:
    """Places the accuracies in a box: points (x, y), and lines (y, text) of the scale."""
    accuracies = [model.accuracy for model in models]
    low, high = min(accuracies), max(accuracies)
    margin = max((high - low) * 0.15, 0.0005)
    low, high = max(low - margin, 0), min(high + margin, 1)

    def y_of(accuracy: float) -> float:
        return height * (high - accuracy) / (high - low)

    step = width / max(len(models) - 1, 1)
    return {
        "points": [(i * step, y_of(accuracy)) for i, accuracy in enumerate(accuracies)],
        "lines": [(y_of(value), _percent(value)) for value in (low, (low + high) / 2, high)],
    }
