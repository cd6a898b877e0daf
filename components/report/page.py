"""Renders a report as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from components.common.provenance import Data
from components.report import charts
from components.report.content import Report
from components.report.facts import LineageEdge, RunFacts
from components.report.intervals import wilson_interval
from components.report.rendering import data_uri, render_template

_TEMPLATE = "page.html.j2"
_SHADES = 5
_LARGEST_MATRIX = 40
"""Largest number of classes with a confusion matrix; with more, common mistakes are listed."""

_COMMON_MISTAKES = 20

_LIMITS: dict[str, Callable[[float], str]] = {
    "rotation": lambda degrees: f"rotation up to ±{degrees:g}°",
    "zoom": lambda share: f"scaling up to ±{100 * share:.3g}%",
    "shift": lambda share: f"shift up to ±{100 * share:.3g}% of height and width",
    "shear": lambda pixels: f"shear up to ±{pixels:g} pixels per pixel of height",
}
"""Describe the largest random changes of an image, by the hyperparameter that sets them."""


def render(report: Report, directory: Path, run: RunFacts | None = None) -> str:
    """Renders the page.

    Args:
      report: the content.
      directory: directory of the report's images.
      run: facts for the sections about the finished run; None before the push.

    Returns:
      HTML with embedded images. All text is escaped.
    """
    names = dict(enumerate(report.data.class_names))
    verdict, training = report.verdict, report.training
    matrix = verdict.confusion_matrix if verdict else ()
    return render_template(
        _TEMPLATE,
        r=report,
        run=run,
        inline=lambda name: data_uri(directory / name),
        class_name=lambda label: names.get(label, label),
        interval=wilson_interval,
        lane_path=lane_path,
        shade=shade,
        charts=charts,
        curves=charts.training_charts(training, _warms_up(report)) if training else [],
        augmentation=describe_augmentation(report.hyperparameters),
        matrix=matrix if len(matrix) <= _LARGEST_MATRIX else (),
        mistakes=common_mistakes(matrix),
        largest_share=_largest_share(report.label_counts),
    )


def render_rejection(data: Data, run: RunFacts) -> str:
    """Renders the page of a run that the data gate stopped. `run` must have data checks."""
    return render_template("rejection.html.j2", data=data, run=run)


@dataclass(frozen=True)
class CommonMistake:
    """The number of times that one class was misclassified as another."""

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


def describe_augmentation(hyperparameters: Mapping[str, Any]) -> str:
    """Describes the random changes of training images; empty if no hyperparameter sets one."""
    limits = {name: hyperparameters.get(name) or 0 for name in _LIMITS}
    return ", ".join(_LIMITS[name](limit) for name, limit in limits.items() if limit)


def shade(count: int, most: int) -> int:
    """Returns the shade of a matrix cell: 0 without mistakes, else 1 to 5; `most` gets 5."""
    return ceil(_SHADES * count / most) if count else 0


def lane_path(edge: LineageEdge, lane_width: float, row_height: float) -> str:
    """Returns the SVG path of an edge, which bends into its lane and ends at the lower node."""
    x0, x1 = ((lane + 0.5) * lane_width for lane in (edge.start_lane, edge.lane))
    y0, y1 = ((row + 0.5) * row_height for row in (edge.top, edge.bottom))
    bend, middle = y0 + row_height, y0 + row_height / 2
    return f"M{x0:g} {y0:g}C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {bend:g}V{y1:g}"


def _warms_up(report: Report) -> bool:
    values = report.hyperparameters
    return values.get("schedule") == "cosine" and bool(values.get("warmup"))


def _largest_share(label_counts: Mapping[str, Mapping[int, int]]) -> float:
    """Returns the largest share of a class in any split, which gets the longest bar."""
    shares = (
        count / sum(counts.values())
        for counts in label_counts.values()
        for count in counts.values()
        if count
    )
    return max(shares, default=1)
