"""Renders the page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from components.report import charts
from components.report.content import Report
from components.report.intervals import wilson_interval
from components.report.rendering import data_uri, render_template

_TEMPLATE = "page.html.j2"
_SHADES = 5
_LARGEST_MATRIX = 40
"""Classes; of more, the page lists the most common mistakes instead of the confusion matrix."""

_COMMON_MISTAKES = 20


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
class CheckedFeature:
    """A feature of the raw examples, and its bounds in the schema.

    Attributes:
      type: in the schema, such as FLOAT.
      rule: its bounds, in words.
      observed: smallest and largest value in the data, for people; may be empty.
    """

    name: str
    type: str
    rule: str
    observed: str


@dataclass(frozen=True)
class DataChecks:
    """The comparison of the data with the schema.

    Attributes:
      features: in the schema's order.
      anomalies: each as "split: feature: reason"; empty if the data satisfy the schema.
    """

    features: tuple[CheckedFeature, ...]
    anomalies: tuple[str, ...]


@dataclass(frozen=True)
class RunFacts:
    """Facts that are known only after the run.

    Attributes:
      started: time, for people.
      seconds: from the start of the first stage to the end of the last one.
      release: the outcome of the push, in words.
      stages: in the order in which they ran.
      history: the newest blessed models, in ascending order.
      lineage: of the pushed model, or else of the verdict; None if there is neither.
      data_checks: None if the run has none.
      index: URL of the index of runs; None if the page lies elsewhere.
    """

    started: str
    seconds: float
    release: str
    stages: tuple[StageTime, ...]
    history: tuple[BlessedModel, ...]
    lineage: Lineage | None
    data_checks: DataChecks | None
    index: str | None


def render(report: Report, directory: Path, run: RunFacts | None = None) -> str:
    """Renders the page.

    Args:
      report: the content.
      directory: with the report's pictures.
      run: adds sections about the finished run; None for a page made before the push.

    Returns:
      HTML with embedded pictures; all text is escaped.
    """
    names = dict(enumerate(report.data.class_names))
    functions = {
        "inline": lambda name: data_uri(directory / name),
        "class_name": lambda label: names.get(label, label),
        "interval": wilson_interval,
        "lane_path": lane_path,
        "shade": shade,
    }
    verdict, training = report.verdict, report.training
    matrix = verdict.confusion_matrix if verdict else ()
    return render_template(
        _TEMPLATE,
        functions,
        r=report,
        run=run,
        charts=charts,
        curves=charts.training_charts(training) if training else [],
        matrix=matrix if len(matrix) <= _LARGEST_MATRIX else (),
        mistakes=common_mistakes(matrix),
        largest_share=_largest_share(report.label_counts),
    )


@dataclass(frozen=True)
class CommonMistake:
    """How often one class was taken for another."""

    actual: int
    predicted: int
    count: int


def common_mistakes(matrix: tuple[tuple[int, ...], ...]) -> list[CommonMistake]:
    """Lists the most frequent mistakes of a confusion matrix, in descending order."""
    mistakes = [
        CommonMistake(actual, predicted, count)
        for actual, row in enumerate(matrix)
        for predicted, count in enumerate(row)
        if count and actual != predicted
    ]
    return sorted(mistakes, key=lambda mistake: -mistake.count)[:_COMMON_MISTAKES]


def shade(count: int, most: int) -> int:
    """Returns the shade of a matrix cell: 0 without mistakes, else from 1 to 5 for `most`."""
    return ceil(_SHADES * count / most) if count else 0


def lane_path(edge: LineageEdge, lane_width: float, row_height: float) -> str:
    """Returns the SVG path of an edge: it bends into its lane, and ends at the lower dot."""
    x0, x1 = ((lane + 0.5) * lane_width for lane in (edge.start_lane, edge.lane))
    y0, y1 = ((row + 0.5) * row_height for row in (edge.top, edge.bottom))
    bend, middle = y0 + row_height, y0 + row_height / 2
    return f"M{x0:g} {y0:g}C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {bend:g}V{y1:g}"


def _largest_share(label_counts: Mapping[str, Mapping[int, int]]) -> float:
    """Returns the largest share of one class in any split, which has the longest bar."""
    shares = (
        count / sum(counts.values())
        for counts in label_counts.values()
        for count in counts.values()
        if count
    )
    return max(shares, default=1)
