"""Draws the plots of a report, each once for light and once for dark pages.

Nothing here changes matplotlib's state for others: figures are made without pyplot, and settings
hold only while one is drawn. The same numbers give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import FuncFormatter, MaxNLocator

from components.report.content import Calibration, Figure, Training
from models.features import NUM_CLASSES

_DPI = 192
_CSS_DPI = 96
_SMALL = (3.4, 2.6)
_WIDE = (4.4, 3.2)
_SQUARE = (4.4, 4.2)


@dataclass(frozen=True)
class Theme:
    """Colours of a colour scheme; the series are from the palette of Okabe and Ito.

    Attributes:
      name: ends the file names.
      text: of titles and numbers.
      muted: of axes and their labels.
      grid: of lines in the background.
      series: of data, in order; also people who confuse colours can tell them apart.
      seaborn_map: of intensities, from the page's background on.
    """

    name: str
    text: str
    muted: str
    grid: str
    series: tuple[str, str, str]
    seaborn_map: str


LIGHT = Theme(
    "light", "#1d2430", "#5b6472", "#e4e7ec", ("#0072b2", "#e69f00", "#009e73"), "light:#b3261e"
)
DARK = Theme(
    "dark", "#e6e9ef", "#9aa4b2", "#2b313c", ("#56b4e9", "#e69f00", "#2dbd94"), "dark:#ff8a5c"
)

Draw = Callable[[Plot, Theme], None]


def draw_training(training: Training, directory: Path) -> dict[str, Figure]:
    """Draws loss, accuracy and learning rate by epoch, with the epoch that was kept."""
    kept = f"the weights of epoch {training.best_epoch} were kept"
    plots = {
        "accuracy": (
            _Curves("Accuracy", {"training": "accuracy", "validation": "val_accuracy"}, True),
            f"Accuracy by epoch, for training and validation; {kept}.",
        ),
        "loss": (
            _Curves("Loss", {"training": "loss", "validation": "val_loss"}),
            f"Loss by epoch, for training and validation; {kept}.",
        ),
        "learning_rate": (
            _Curves("Learning rate", {"learning rate": "learning_rate"}),
            "Learning rate by epoch.",
        ),
    }
    return {
        name: _save(directory, name, _SMALL, partial(_draw_curves, training, curves), alt)
        for name, (curves, alt) in plots.items()
    }


def draw_distribution(
    counts: Mapping[str, Mapping[int, int]], directory: Path
) -> dict[str, Figure]:
    """Draws each digit's share of each split.

    Args:
      counts: examples by split and label.
      directory: for the files.
    """
    alt = f"Share of each digit among the examples of {', '.join(counts)}."

    def draw(plot: Plot, theme: Theme) -> None:
        axes = plot.add_subplot()
        digits = np.arange(NUM_CLASSES)
        width = 0.8 / len(counts)
        for i, (split, of_split) in enumerate(counts.items()):
            total = sum(of_split.values()) or 1
            shares = [of_split.get(digit, 0) / total for digit in range(NUM_CLASSES)]
            left = digits - 0.4 + width * (i + 0.5)
            axes.bar(left, shares, width * 0.9, color=theme.series[i % 3], label=split)
        axes.set_xticks(digits)
        _finish(axes, theme, "Digits in each split", ("digit", ""), percent=True)
        axes.grid(visible=False, axis="x")
        _legend(axes, len(counts))

    return {"distribution": _save(directory, "distribution", _WIDE, draw, alt)}


def draw_confusion(matrix: Sequence[Sequence[int]], directory: Path) -> dict[str, Figure]:
    """Draws a confusion matrix; only mistakes have a colour, or the right answers would drown them.

    Args:
      matrix: [actual][predicted], NUM_CLASSES rows.
      directory: for the files.
    """
    counts = np.asarray(matrix)
    mistakes = counts * (1 - np.eye(NUM_CLASSES, dtype=int))
    wrong = int(mistakes.sum())
    actual, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    most = f"; most often {actual} was taken for {predicted}" if wrong else ""
    alt = f"Confusion matrix: {np.trace(counts)} right and {wrong} wrong{most}."

    def draw(plot: Plot, theme: Theme) -> None:
        axes = plot.add_subplot()
        diagonal = np.eye(NUM_CLASSES, dtype=bool)
        text = np.where(counts > 0, counts.astype(str), "")
        common = {"ax": axes, "annot": text, "fmt": "", "cbar": False, "square": True}
        style = {"linewidths": 1.5, "linecolor": (0, 0, 0, 0), "annot_kws": {"size": 7.5}}
        colours = sns.color_palette(theme.seaborn_map, as_cmap=True)
        top = max(int(mistakes.max()), 1)
        sns.heatmap(mistakes, mask=diagonal, cmap=colours, vmin=0, vmax=top, **common, **style)
        of_right = ListedColormap([theme.grid])
        sns.heatmap(counts, mask=~diagonal, cmap=of_right, **common, **style)
        _finish(axes, theme, "Confusion matrix", ("predicted", "actual"))
        axes.grid(visible=False)
        axes.tick_params(length=0, rotation=0)

    return {"confusion": _save(directory, "confusion", _SQUARE, draw, alt)}


def draw_reliability(calibration: Calibration, directory: Path) -> dict[str, Figure]:
    """Draws a reliability diagram: accuracy by confidence, above how many answers there are."""
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
        _finish(upper, theme, "Reliability", ("", ""), percent=True)
        upper.set_ylim(0, 1.02)
        _legend(upper, 3)
        examples = [bin_.examples for bin_ in calibration.bins]
        lower.bar(middles, examples, width * 0.9, color=theme.muted)
        lower.set_yscale("log")
        lower.set_ylim(0.5, max(*examples, 1) * 3)
        _finish(lower, theme, "", ("confidence", "answers"))
        lower.set_xlim(0, 1)
        lower.xaxis.set_major_formatter(FuncFormatter(_percent))

    return {"reliability": _save(directory, "reliability", _SQUARE, draw, alt)}


class _Curves(NamedTuple):
    """What a plot by epoch shows: by label, a value of `Epoch`."""

    title: str
    values: Mapping[str, str]
    percent: bool = False


def _draw_curves(training: Training, curves: _Curves, plot: Plot, theme: Theme) -> None:
    axes = plot.add_subplot()
    best = training.best_epoch
    axes.axvline(best, color=theme.muted, linewidth=1, linestyle=":")
    epochs = [epoch.epoch for epoch in training.epochs]
    styles = zip(curves.values.items(), theme.series, "os", strict=False)
    for (label, name), colour, marker in styles:
        values = [getattr(epoch, name) for epoch in training.epochs]
        points = [np.nan if value is None else value for value in values]
        axes.plot(epochs, points, color=colour, marker=marker, markersize=3.5, label=label)
        if best in epochs:
            axes.plot(best, points[epochs.index(best)], marker, color=colour, markersize=7)
    _finish(axes, theme, curves.title, ("epoch", ""), curves.percent)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    if len(curves.values) > 1:
        _legend(axes, len(curves.values))
    else:
        axes.set_ylim(bottom=0)


def _finish(
    axes: Axes, theme: Theme, title: str, labels: tuple[str, str], percent: bool = False
) -> None:
    """Gives axes a title and labels (of x and y) in the theme's colours, and takes clutter away."""
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
    return f"{value * 100:.4g} %"


def _save(directory: Path, name: str, inches: tuple[float, float], draw: Draw, alt: str) -> Figure:
    """Draws a plot for both themes, in `<name>-light.png` and `<name>-dark.png`."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {}
    for theme in (LIGHT, DARK):
        style = {"font.family": "DejaVu Sans", "font.size": 8.5, "text.color": theme.text}
        with mpl.rc_context(style):
            plot = Plot(figsize=inches, dpi=_DPI, layout="constrained")
            FigureCanvasAgg(plot)
            draw(plot, theme)
            files[theme.name] = f"{name}-{theme.name}.png"
            # Without metadata, in which matplotlib would write its version.
            plot.savefig(
                directory / files[theme.name], transparent=True, metadata={"Software": None}
            )
    width, height = (round(side * _CSS_DPI) for side in inches)
    return Figure(**files, alt=alt, width=width, height=height)
