"""Computes the layout of charts; `charts.html.j2` draws them as SVG in the colors of the page.

Coordinates are in units of the SVG's view box, from its top left corner. The page never scales a
chart down, so text of 12 units has at least 12 pixels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.report.content import Bin, Calibration, Training
from components.report.facts import BlessedModel
from components.report.rendering import number, words

WIDTH = 264
LEFT = 52
RIGHT = WIDTH - 18
TOP = 8
BOTTOM = 138
COUNTS_TOP = 186
COUNTS_BOTTOM = 232
_BAR_SHARE = 0.84

_DIGITS = 4
_SMALLEST = 1e-12  # Smaller differences are not shown.

_LEARNING_RATE = "learning_rate"

Scale = Callable[[float], float]
Show = Callable[..., str]
"""Writes a number, with a number of significant digits as the second argument."""


@dataclass(frozen=True)
class Tick:
    """A labeled mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Series:
    """A line in a chart: its points, and its SVG path, with gaps for missing values."""

    name: str
    path: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LineChart:
    """One or two lines over a common axis.

    Attributes:
      title: title of the chart.
      x_title: title of the horizontal axis.
      description: text alternative for screen readers.
      x_ticks: ticks of the horizontal axis.
      y_ticks: ticks of the vertical axis.
      series: the lines.
      marked: horizontal position of a dotted line, if any.
    """

    title: str
    x_title: str
    description: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    marked: float | None


@dataclass(frozen=True)
class Bar:
    """A bin of the reliability diagram.

    Attributes:
      left: left edge of both bars.
      width: width of both bars.
      accuracy: top of the upper bar.
      confidence: vertical position of the confidence mark; None without predictions.
      count: top of the lower bar.
      title: tooltip with the bin's numbers.
    """

    left: float
    width: float
    accuracy: float
    confidence: float | None
    count: float
    title: str


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Accuracy and mean confidence per bin, above the number of predictions per bin."""

    description: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    count_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]


def training_charts(training: Training, warm_up: bool = False) -> list[LineChart]:
    """Lays out one chart per metric, with the training and validation values by epoch.

    Args:
      training: the training history.
      warm_up: whether the learning rate rose from 0 at the start of the first epoch.
    """
    metrics = dict.fromkeys(name.removeprefix("val_") for name in training.metrics)
    return [
        _training_chart(training, metric, from_zero=warm_up and metric == _LEARNING_RATE)
        for metric in metrics
    ]


def history_chart(models: Sequence[BlessedModel]) -> LineChart:
    """Lays out the accuracy of two or more models, oldest first."""
    accuracies = [model.accuracy for model in models]
    positions = range(len(models))
    x_of = _x_scale(0, len(models) - 1)
    every = math.ceil(len(models) / 5)
    y_ticks, y_of = _y_axis(accuracies, _percent)
    return LineChart(
        title="Accuracy",
        x_title="model",
        description=f"Accuracy of {len(models)} models, from {_percent(accuracies[0])} (model "
        f"{models[0].id}) to {_percent(accuracies[-1])} (model {models[-1].id}).",
        x_ticks=tuple(Tick(x_of(i), str(models[i].id)) for i in positions[::-every][::-1]),
        y_ticks=y_ticks,
        series=(_series("accuracy", positions, accuracies, x_of, y_of),),
        marked=None,
    )


def reliability_diagram(calibration: Calibration) -> ReliabilityDiagram:
    """Lays out the accuracy, mean confidence and number of predictions of each bin.

    Counts have a logarithmic scale, because most predictions of a good model are in the last bin.
    """
    error = calibration.expected_error
    x_of = _scale(0, 1, LEFT, RIGHT)
    y_of = _scale(0, 1, BOTTOM, TOP)
    most = max([1, *(bin_.examples for bin_ in calibration.bins)])
    count_of = _scale(-0.3, math.log10(most) or 1, COUNTS_BOTTOM, COUNTS_TOP)
    powers = sorted({0, int(math.log10(most))})
    shares = (0, 0.25, 0.5, 0.75, 1)
    return ReliabilityDiagram(
        description=f"Reliability diagram in {len(calibration.bins)} bins of equal width; expected "
        f"calibration error {'unknown' if error is None else _percent(error)}.",
        x_ticks=tuple(Tick(x_of(share), _percent(share)) for share in shares),
        y_ticks=tuple(Tick(y_of(share), _percent(share)) for share in shares),
        count_ticks=tuple(Tick(count_of(power), f"{10**power:,}") for power in powers),
        bars=tuple(_bar(bin_, x_of, y_of, count_of) for bin_ in calibration.bins),
    )


def _bar(bin_: Bin, x_of: Scale, y_of: Scale, count_of: Scale) -> Bar:
    left, right = x_of(bin_.lower), x_of(bin_.upper)
    width = (right - left) * _BAR_SHARE
    return Bar(
        left=left + (right - left - width) / 2,
        width=width,
        accuracy=y_of(bin_.accuracy or 0),
        confidence=None if bin_.confidence is None else y_of(bin_.confidence),
        count=count_of(math.log10(bin_.examples)) if bin_.examples else COUNTS_BOTTOM,
        title=f"confidence {_percent(bin_.lower)} to {_percent(bin_.upper)}: {_numbers_of(bin_)}",
    )


def _numbers_of(bin_: Bin) -> str:
    if bin_.accuracy is None or bin_.confidence is None:
        return "no predictions"
    return (
        f"{bin_.examples:,} predictions, accuracy {_percent(bin_.accuracy)}, mean confidence "
        f"{_percent(bin_.confidence)}"
    )


def _training_chart(training: Training, metric: str, from_zero: bool) -> LineChart:
    numbers = range(0 if from_zero else 1, len(training.epochs) + 1)
    names = {metric: "training", f"val_{metric}": "validation"}
    values = {
        label: [*([0.0] if from_zero else []), *(epoch.get(name) for epoch in training.epochs)]
        for name, label in names.items()
        if name in training.metrics
    }
    show = _percent if metric.endswith("accuracy") else number
    x_of = _x_scale(numbers[0], numbers[-1])
    bottom = [0.0] if metric == _LEARNING_RATE else []
    y_ticks, y_of = _y_axis([*bottom, *(v for row in values.values() for v in row)], show)
    title = words(metric).capitalize()
    return LineChart(
        title=title,
        x_title="epoch",
        description=f"{title} by epoch. {_last_values(values, show)}",
        x_ticks=_epoch_ticks(numbers, x_of),
        y_ticks=y_ticks,
        series=tuple(_series(label, numbers, row, x_of, y_of) for label, row in values.items()),
        marked=x_of(training.best_epoch) if training.best_epoch in numbers else None,
    )


def _last_values(values: Mapping[str, Sequence[float | None]], show: Show) -> str:
    last = (
        f"{label} {'undefined' if row[-1] is None else show(row[-1])}"
        for label, row in values.items()
    )
    return f"In the last epoch: {', '.join(last)}."


def _epoch_ticks(numbers: Sequence[int], x_of: Scale) -> tuple[Tick, ...]:
    ticks = _nice_ticks(numbers[0], numbers[-1], 6)
    whole = sorted({round(tick) for tick in ticks if tick == round(tick)} & set(numbers))
    return tuple(Tick(x_of(number), str(number)) for number in whole)


def _series(
    name: str, xs: Iterable[float], ys: Iterable[float | None], x_of: Scale, y_of: Scale
) -> Series:
    points = [None if y is None else (x_of(x), y_of(y)) for x, y in zip(xs, ys, strict=True)]
    steps = [
        f"{'L' if before else 'M'}{point[0]:.1f} {point[1]:.1f}"
        for before, point in zip([None, *points], points, strict=False)
        if point
    ]
    return Series(name, "".join(steps), tuple(point for point in points if point))


def _y_axis(values: Iterable[float | None], show: Show) -> tuple[tuple[Tick, ...], Scale]:
    known = [value for value in values if value is not None] or [0.0, 1.0]
    low, high = min(known), max(known)
    if math.isclose(low, high, abs_tol=_SMALLEST):
        low, high = (low - abs(low) / 10, high) if abs(high) > _SMALLEST else (0, 1)
    ticks = _labeled_ticks(low, high, show)
    scale = _scale(ticks[0][0], ticks[-1][0], BOTTOM, TOP)
    return tuple(Tick(scale(tick), text) for tick, text in ticks), scale


def _labeled_ticks(low: float, high: float, show: Show) -> list[tuple[float, str]]:
    """Returns ticks with different texts: fewer ticks, or else texts with more digits."""
    for digits, steps in itertools.product(range(_DIGITS, 18), (4, 2, 1)):
        ticks = _nice_ticks(low, high, steps)
        texts = [show(tick, digits) for tick in ticks]
        if len(set(texts)) == len(ticks):
            break
    return list(zip(ticks, texts, strict=True))


def _x_scale(first: float, last: float) -> Scale:
    """Places a single point in the middle."""
    return _scale(first, last, LEFT + 6, RIGHT) if first < last else lambda _: (LEFT + RIGHT) / 2


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _nice_ticks(low: float, high: float, steps: int) -> list[float]:
    """Returns about `steps` + 1 round numbers from at most `low` to at least `high`."""
    smallest = max(high - low, _SMALLEST) / steps
    power = 10.0 ** math.floor(math.log10(smallest))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= smallest)
    first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _percent(value: float, digits: int = _DIGITS) -> str:
    return f"{value * 100:.{digits}g}%"
