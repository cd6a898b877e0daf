"""Draws the plots of a report, each for light and for dark pages.

Drawing leaves matplotlib's global state alone: it avoids pyplot, and settings apply to one plot
only. The same numbers give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import FuncFormatter, MaxNLocator

from components.report.content import Calibration, Figure, Training

_DPI = 192
_CSS_DPI = 96
_POINTS_PER_INCH = 72
_SMALL = (3.4, 2.6)
_SQUARE = (4.4, 4.2)
_INCHES_PER_CLASS = 0.21
_WIDEST = 9.6
_LONGEST_NAME = 18
_INCHES_PER_CHARACTER = 0.075
_SMALLEST_FONT = 4.5


@dataclass(frozen=True)
class Theme:
    """Colors of a color scheme; the series are from the palette of Okabe and Ito.

    Attributes:
      name: suffix of the file names.
      text: of titles and numbers.
      muted: of axes and their labels.
      grid: of lines in the background.
      card: of the page behind the plot.
      faint: of a matrix cell without mistakes.
      mistake: of the matrix cell with the most mistakes.
      series: of data, in order; also people with color blindness can tell them apart.
    """

    name: str
    text: str
    muted: str
    grid: str
    card: str
    faint: str
    mistake: str
    series: tuple[str, str, str]

    @property
    def mistakes(self) -> Colormap:
        """From no mistakes to the most; the masked diagonal has the color of the grid."""
        colors = LinearSegmentedColormap.from_list("mistakes", [self.faint, self.mistake])
        return colors.with_extremes(bad=self.grid)


LIGHT = Theme(
    name="light",
    text="#1d2430",
    muted="#5b6472",
    grid="#e4e7ec",
    card="#ffffff",
    faint="#f7f8fa",
    mistake="#b3261e",
    series=("#0072b2", "#e69f00", "#009e73"),
)
DARK = Theme(
    name="dark",
    text="#e6e9ef",
    muted="#9aa4b2",
    grid="#2b313c",
    card="#171b22",
    faint="#1c212a",
    mistake="#ff8a5c",
    series=("#56b4e9", "#e69f00", "#2dbd94"),
)

Draw = Callable[[Plot, Theme], None]


def draw_training(training: Training, directory: Path) -> dict[str, Figure]:
    """Draws each metric by epoch, for training and validation together, and marks the best epoch.

    Returns:
      Plots by metric.
    """
    metrics = dict.fromkeys(name.removeprefix("val_") for name in training.metrics)
    return {
        metric: _save(
            directory,
            f"curve-{number}",
            _SMALL,
            partial(_draw_curves, training, metric),
            f"{_title(metric)} by epoch; the best epoch is {training.best_epoch}.",
        )
        for number, metric in enumerate(metrics, 1)
    }


def draw_distribution(
    counts: Mapping[str, Mapping[int, int]], class_names: Sequence[str], directory: Path
) -> dict[str, Figure]:
    """Draws the share of each class in each split.

    Args:
      counts: examples by split and label.
      class_names: by label.
      directory: for the files.
    """
    alt = f"Share of each class in the examples of {', '.join(counts)}."
    labels = np.arange(len(class_names))

    def draw(plot: Plot, theme: Theme) -> None:
        axes = plot.add_subplot()
        width = 0.8 / len(counts)
        for i, (split, of_split) in enumerate(counts.items()):
            total = sum(of_split.values()) or 1
            shares = [of_split.get(label, 0) / total for label in labels]
            left = labels - 0.4 + width * (i + 0.5)
            axes.bar(left, shares, width * 0.9, color=theme.series[i % 3], label=split)
        _finish(axes, theme, "Classes in each split", percent=True)
        axes.set_xticks(labels, _short(class_names), rotation=_rotation(class_names))
        axes.grid(visible=False, axis="x")
        axes.margins(x=0.01)
        _legend(axes, len(counts))

    inches = (_side(class_names), 3.2)
    return {"distribution": _save(directory, "distribution", inches, draw, alt)}


def draw_confusion(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str], directory: Path
) -> dict[str, Figure]:
    """Draws a confusion matrix; only mistakes are colored, or correct predictions would drown them.

    Args:
      matrix: [actual][predicted], one row for each class.
      class_names: by label.
      directory: for the files.
    """
    counts = np.asarray(matrix)
    mistakes: np.ma.MaskedArray = np.ma.masked_array(counts, np.eye(len(counts), dtype=bool))
    wrong = int(mistakes.sum())
    actual, predicted = np.unravel_index(mistakes.argmax(), counts.shape)
    most = f"; the most common mistake is {class_names[predicted]} for {class_names[actual]}"
    alt = f"Confusion matrix: {np.trace(counts)} correct and {wrong} wrong{most if wrong else ''}."
    side = _side(class_names)

    def draw(plot: Plot, theme: Theme) -> None:
        axes = plot.add_subplot()
        _finish(axes, theme, "Confusion matrix", ("predicted", "actual"))
        axes.grid(visible=False)
        image = axes.imshow(mistakes, theme.mistakes, vmin=0, vmax=max(int(mistakes.max()), 1))
        edges = np.arange(len(counts) + 1) - 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color=theme.card, linewidth=min(1.5, 15 / len(counts)))
        ticks, names = np.arange(len(counts)), _short(class_names)
        axes.set_xticks(ticks, names, rotation=_rotation(class_names))
        axes.set_yticks(ticks, names)
        if not _write_counts(axes, counts, _inches_of_class(class_names), theme):
            scale = plot.colorbar(image, ax=axes, shrink=0.5)
            _finish(scale.ax, theme, "", ("", "mistakes"))

    return {"confusion": _save(directory, "confusion", (side, side - 0.2), draw, alt)}


def _write_counts(axes: Axes, counts: np.ndarray, cell: float, theme: Theme) -> bool:
    """Writes counts into cells of side `cell` (inches); False if the text would be too small."""
    size = min(7.5, cell * _POINTS_PER_INCH / (0.65 * len(str(counts.max()))))
    if size < _SMALLEST_FONT:
        return False
    most = max(int((counts * (1 - np.eye(len(counts)))).max()), 1)
    for (actual, predicted), count in np.ndenumerate(counts):
        if count:
            strong = actual != predicted and count > 0.7 * most
            color = theme.card if strong else theme.text
            where = predicted, actual
            axes.text(*where, str(count), color=color, ha="center", va="center", size=size)
    return True


def draw_reliability(calibration: Calibration, directory: Path) -> dict[str, Figure]:
    """Draws a reliability diagram: accuracy by confidence, above the number of predictions."""
    error = calibration.expected_error
    alt = (
        f"Reliability diagram in {len(calibration.bins)} bins of equal width; expected calibration "
        f"error {'unknown' if error is None else f'{error:.4f}'}."
    )

    def draw(plot: Plot, theme: Theme) -> None:
        upper, lower = plot.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        width = 1 / len(calibration.bins)
        middles = [(bin_.lower + bin_.upper) / 2 for bin_ in calibration.bins]
        heights = [bin_.accuracy or 0 for bin_ in calibration.bins]
        upper.bar(middles, heights, width * 0.9, color=theme.series[0], label="accuracy")
        upper.plot([0, 1], [0, 1], "--", color=theme.muted, linewidth=1, label="calibrated")
        points = [(bin_.confidence, bin_.accuracy) for bin_ in calibration.bins if bin_.examples]
        if points:
            upper.plot(
                *zip(*points, strict=True),
                "o",
                color=theme.series[1],
                markersize=4,
                label="mean confidence",
            )
        _finish(upper, theme, "Reliability", percent=True)
        upper.set_ylim(0, 1.02)
        _legend(upper, 3)
        examples = [bin_.examples for bin_ in calibration.bins]
        lower.bar(middles, examples, width * 0.9, color=theme.muted)
        lower.set_yscale("log")
        lower.set_ylim(0.5, max(*examples, 1) * 3)
        lower.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        _finish(lower, theme, "", ("confidence", "predictions"))
        lower.set_xlim(0, 1)
        lower.xaxis.set_major_formatter(FuncFormatter(_percent))

    return {"reliability": _save(directory, "reliability", _SQUARE, draw, alt)}


def _draw_curves(training: Training, metric: str, plot: Plot, theme: Theme) -> None:
    """Draws a metric of training and validation; of the two, those that there are."""
    axes = plot.add_subplot()
    best = training.best_epoch
    axes.axvline(best, color=theme.muted, linewidth=1, linestyle=":")
    epochs = [epoch["epoch"] or 0 for epoch in training.epochs]
    names = {metric: "training", f"val_{metric}": "validation"}
    for (name, label), color, marker in zip(names.items(), theme.series, "os", strict=False):
        if name not in training.metrics:
            continue
        values = [epoch.get(name) for epoch in training.epochs]
        points = [np.nan if value is None else value for value in values]
        axes.plot(epochs, points, color=color, marker=marker, markersize=3.5, label=label)
        if best in epochs:
            axes.plot(best, points[epochs.index(best)], marker, color=color, markersize=7)
    _finish(axes, theme, _title(metric)[:40], ("epoch", ""), metric.endswith("accuracy"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    if metric == "learning_rate":
        axes.set_ylim(bottom=0)
    else:
        _legend(axes, 2)


def _title(metric: str) -> str:
    words = metric.replace("_", " ")
    return words[:1].upper() + words[1:]


def _short(class_names: Sequence[str]) -> list[str]:
    return [
        name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
        for name in class_names
    ]


def _rotation(class_names: Sequence[str]) -> int:
    longest = max(map(len, _short(class_names))) * _INCHES_PER_CHARACTER
    return 90 if longest > _inches_of_class(class_names) else 0


def _inches_of_class(class_names: Sequence[str]) -> float:
    """Room for one class on an axis, about."""
    return 0.75 * _side(class_names) / len(class_names)


def _side(class_names: Sequence[str]) -> float:
    """Width in inches of a plot with all classes on its axis."""
    return min(max(_SQUARE[0], 1.5 + _INCHES_PER_CLASS * len(class_names)), _WIDEST)


def _finish(
    axes: Axes,
    theme: Theme,
    title: str,
    labels: tuple[str, str] = ("", ""),
    percent: bool = False,
) -> None:
    """Adds a title and labels (of x and y) in the theme's colors, and removes clutter."""
    axes.set_title(title, loc="left", color=theme.text, fontsize=10, fontweight="bold", pad=20)
    axes.set_xlabel(labels[0], color=theme.muted)
    axes.set_ylabel(labels[1], color=theme.muted)
    axes.tick_params(colors=theme.muted, which="both", length=0)
    axes.grid(visible=True, color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if percent:
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        ncols=columns,
        frameon=False,
        labelcolor="linecolor",
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _percent(value: float, _: Any) -> str:
    return f"{value * 100:.4g}%"


def _save(directory: Path, name: str, inches: tuple[float, float], draw: Draw, alt: str) -> Figure:
    """Draws a plot for both themes, in `<name>-light.png` and `<name>-dark.png`."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {}
    for theme in (LIGHT, DARK):
        style = {
            "font.family": "DejaVu Sans",
            "font.size": 8.5,
            "text.color": theme.text,
            "text.parse_math": False,  # A $ in a class name is a $.
        }
        with mpl.rc_context(style):
            plot = Plot(figsize=inches, dpi=_DPI, layout="constrained")
            FigureCanvasAgg(plot)
            draw(plot, theme)
            files[theme.name] = f"{name}-{theme.name}.png"
            # Without metadata, where matplotlib would write its version.
            plot.savefig(
                directory / files[theme.name], transparent=True, metadata={"Software": None}
            )
    width, height = (round(side * _CSS_DPI) for side in inches)
    return Figure(**files, alt=alt, width=width, height=height)
