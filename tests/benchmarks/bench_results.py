"""The results of `bench_pipeline.py`: their format, statistics, and tables in Markdown.

    python -m benchmarks.bench_results

renders tests/benchmarks/results/full.json into README.md and docs/benchmarks.md, between the
comments `<!-- benchmark: … -->` and `<!-- end of benchmark -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from components.report.intervals import wilson_interval

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results") / "full.json"
PLAIN = "plain"
STOCK = "stock"
FIT = "fit"
"""The step that `model.fit` takes, on its own or within the Trainer."""

_TITLES = {PLAIN: "plain Keras script", STOCK: "stock TFX components"}


@dataclass(frozen=True)
class Run:
    """One run of a contender.

    Attributes:
      contender: PLAIN, STOCK, or the recipe of this pipeline.
      round: from 0. The runs of a round follow one another, so only they are compared.
      seconds: wall time of the process.
      cpu_seconds: CPU time of the process and its children.
      peak_bytes: largest sum of the resident memory of the process and its children.
      steps: wall and CPU seconds by step or component, in order; FIT may be within the Trainer.
      epochs: validation accuracy of each epoch, and seconds since the start of the process.
      train_images: images in one epoch.
      correct: test images that were classified correctly.
      test_images: number of test images.
      rerun_seconds: wall time of the same run again, fully cached; None without a cache.
      commit: the code that ran.
    """

    contender: str
    round: int
    seed: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    steps: dict[str, list[float]]
    epochs: list[list[float]]
    train_images: int
    correct: int
    test_images: int
    rerun_seconds: float | None
    commit: str

    @property
    def fit_seconds(self) -> float:
        """Wall time of `model.fit`."""
        return self.steps[FIT][0]

    @property
    def outside_seconds(self) -> float:
        """Wall time outside `model.fit`."""
        return self.seconds - self.fit_seconds

    @property
    def images_per_second(self) -> float:
        """Training images per second of `model.fit`, which includes validation."""
        return self.train_images * len(self.epochs) / self.fit_seconds

    def seconds_to(self, accuracy: float) -> float | None:
        """Seconds until the validation accuracy first reached a value; None if it never did."""
        return next((seconds for value, seconds in self.epochs if value >= accuracy), None)


def read_runs(lines: Iterable[str]) -> list[Run]:
    """Parses one JSON object per line."""
    return [Run(**json.loads(line)) for line in lines if line.strip()]


def make_results(runs: Sequence[Run], facts: dict[str, Any]) -> dict[str, Any]:
    """Combines the runs and their statistics.

    Args:
      runs: in the order in which they ended.
      facts: `command`, `target` (a validation accuracy), `default` (a recipe), `machine`,
        `versions`, and `commands` (seconds by command).

    Returns:
      JSON values: the facts, `commits`, `contenders` (see `summarize`), and `runs`.
    """
    names = dict.fromkeys([PLAIN, STOCK, *(run.contender for run in runs)])
    done = {run.contender for run in runs}
    return {
        **facts,
        "commits": sorted({run.commit for run in runs}),
        "contenders": {
            name: summarize(name, runs, facts["target"]) for name in names if name in done
        },
        "runs": [asdict(run) for run in runs],
    }


def to_text(results: dict[str, Any]) -> str:
    """Returns JSON, with short lists on one line."""
    text = json.dumps(results, indent=1)
    return re.sub(r"\[[^][{}]*]", lambda found: " ".join(found[0].split()), text) + "\n"


def summarize(name: str, runs: Sequence[Run], target: float) -> dict[str, Any]:
    """Returns the statistics of a contender.

    The accuracy is the mean over the runs. Its interval is that of one model on these test images,
    because more seeds don't give more test images. Other values are medians over the runs, except
    `peak_bytes` (largest) and the ratios (see `ratio`). If the plain script does not reach the
    target, `plain_target_ratio` divides by its total time, and is an upper bound.
    """
    own = [run for run in runs if run.contender == name]
    accuracies = [run.correct / run.test_images for run in own]
    images = own[0].test_images
    interval = wilson_interval(round(mean(accuracies) * images), images)
    reached = [seconds for run in own if (seconds := run.seconds_to(target)) is not None]
    reruns = [run.rerun_seconds for run in own if run.rerun_seconds is not None]

    def to_target(run: Run) -> float | None:
        reached_at = run.seconds_to(target)
        return run.seconds if reached_at is None and run.contender == PLAIN else reached_at

    return {
        "seeds": [run.seed for run in own],
        "accuracy": mean(accuracies),
        "accuracy_interval": interval,
        "lowest_accuracy": min(accuracies),
        "seconds": median(run.seconds for run in own),
        "cpu_seconds": median(run.cpu_seconds for run in own),
        "outside_seconds": median(run.outside_seconds for run in own),
        "images_per_second": median(run.images_per_second for run in own),
        "peak_bytes": max(run.peak_bytes for run in own),
        "target_reached": len(reached),
        "target_seconds": median(reached) if reached else None,
        "rerun_seconds": median(reruns) if reruns else None,
        "steps": {step: _median_step(step, own) for step in own[0].steps},
        "plain_ratio": ratio(runs, name, PLAIN, lambda run: run.seconds),
        "plain_cpu_ratio": ratio(runs, name, PLAIN, lambda run: run.cpu_seconds),
        "plain_target_ratio": ratio(runs, name, PLAIN, to_target),
        "stock_ratio": ratio(runs, name, STOCK, lambda run: run.seconds),
        "stock_cpu_ratio": ratio(runs, name, STOCK, lambda run: run.cpu_seconds),
    }


def ratio(
    runs: Sequence[Run], name: str, base: str, measure: Callable[[Run], float | None]
) -> float | None:
    """Returns the median over the rounds of a contender's value divided by that of `base`.

    Dividing within a round cancels slow changes of the machine's load. None if no round has both.
    """
    values = {(run.round, run.contender): measure(run) for run in runs}
    pairs = [
        (values.get((number, name)), values.get((number, base)))
        for number in sorted({run.round for run in runs})
    ]
    quotients = [own / other for own, other in pairs if own is not None and other is not None]
    return median(quotients) if quotients else None


def _median_step(step: str, runs: Sequence[Run]) -> list[float]:
    return [median(column) for column in zip(*(run.steps[step] for run in runs), strict=True)]


def summary_table(results: dict[str, Any]) -> str:
    """Returns one row per contender. The ratios are of wall and CPU time, too."""
    header = (
        "run",
        "test accuracy (95% interval)",
        "wall / CPU time",
        "÷ plain",
        "÷ stock",
        f"time to {100 * results['target']:g}% validation accuracy",
        "outside training",
        "training images/s",
        "peak memory",
    )
    plain = results["contenders"].get(PLAIN)
    bound = "< " if plain and plain["target_reached"] < len(plain["seeds"]) else ""
    rows = [
        (
            title(name, results["default"]),
            _accuracy(facts),
            f"{facts['seconds']:.0f} / {facts['cpu_seconds']:.0f} s",
            _pair(facts["plain_ratio"], facts["plain_cpu_ratio"]),
            _pair(facts["stock_ratio"], facts["stock_cpu_ratio"]),
            _target(facts, "" if name == PLAIN else bound),
            f"{facts['outside_seconds']:.0f} s",
            f"{facts['images_per_second']:,.0f}",
            f"{facts['peak_bytes'] / 2**30:.2f} GiB",
        )
        for name, facts in results["contenders"].items()
    ]
    return _table(header, rows)


def step_table(results: dict[str, Any]) -> str:
    """Returns one row per step, with wall and CPU seconds of each contender, and the totals."""
    columns = [_step_column(facts) for facts in results["contenders"].values()]
    # The longest column first, because it has all stages in order.
    rows = dict.fromkeys(row for column in sorted(columns, key=len, reverse=True) for row in column)
    ordered = [*(row for row in rows if row not in _TOTALS), *_TOTALS]
    header = ("stage", *(title(name, results["default"]) for name in results["contenders"]))
    return _table(header, [(row, *(column.get(row, "") for column in columns)) for row in ordered])


_TOTALS = ("start-up and exit", "total", "of which `model.fit`")


def _step_column(facts: dict[str, Any]) -> dict[str, str]:
    """Returns wall and CPU seconds by row of the table. Similar components share a row."""
    steps = dict(facts["steps"])
    fit = steps.pop(FIT)
    parts = [*steps.values(), *([] if "Trainer" in steps else [fit])]
    total = [facts["seconds"], facts["cpu_seconds"]]
    rest = [max(0.0, total[i] - sum(values[i] for values in parts)) for i in (0, 1)]
    rows = {
        re.sub("^(Import|Image)(?=ExampleGen|SchemaGen)", "", name): values
        for name, values in steps.items()
    }
    rows |= zip(_TOTALS, (rest, total, fit), strict=True)
    return {name: f"{wall:.1f} / {cpu:.1f}" for name, (wall, cpu) in rows.items()}


def provenance(results: dict[str, Any]) -> str:
    """Returns a sentence on how the results were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    runs = len(results["runs"])
    return (
        f"`{results['command']}`, {runs} runs on {results['machine']['hardware']} "
        f"({versions}; commit {', '.join(results['commits'])})."
    )


def commands(results: dict[str, Any]) -> str:
    """Returns a sentence with the times of cached reruns and of commands."""
    default = results["contenders"].get(results["default"], {})
    times = {"a rerun with no changes": default.get("rerun_seconds"), **results["commands"]}
    parts = [f"{name} {seconds:.2g} s" for name, seconds in times.items() if seconds is not None]
    return f"Wall time: {', '.join(parts)}." if parts else ""


def title(name: str, default: str) -> str:
    """Returns the name of a contender for people."""
    if name in _TITLES:
        return _TITLES[name]
    return f"this pipeline, `{name}`{' (default)' if name == default else ''}"


def _accuracy(facts: dict[str, Any]) -> str:
    low, high = facts["accuracy_interval"]
    text = f"{facts['accuracy']:.2%} ({100 * low:.2f} to {100 * high:.2f})"
    seeds = len(set(facts["seeds"]))
    return text if seeds == 1 else f"{text}, {seeds} seeds, lowest {facts['lowest_accuracy']:.2%}"


def _target(facts: dict[str, Any], bound: str) -> str:
    reached, count = facts["target_reached"], len(facts["seeds"])
    if not reached:
        return "never"
    text = f"{facts['target_seconds']:.0f} s"
    if reached < count:
        text += f" ({reached} of {count} runs)"
    ratio_to_plain = facts["plain_target_ratio"]
    return text if ratio_to_plain is None else f"{text}, ÷ plain {bound}{ratio_to_plain:.2f}"


def _pair(wall: float | None, cpu: float | None) -> str:
    return "" if wall is None else f"{wall:.2f} / {cpu:.2f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


BLOCKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "summary": lambda results: (
        f"{summary_table(results)}\n{provenance(results)} {commands(results)}\n"
    ),
    "stages": step_table,
}
"""Rendered text by the name in the opening comment."""

PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
_BLOCK = re.compile(r"(<!-- benchmark: (\w+) -->\n).*?(<!-- end of benchmark -->\n)", re.DOTALL)


def render(page: str, results: dict[str, Any]) -> str:
    """Returns the text of a page with its benchmark blocks renewed."""
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]](results)}{found[3]}", page)


def main() -> None:
    """Renews the pages."""
    results = json.loads(RESULTS.read_text())
    for page in PAGES:
        page.write_text(render(page.read_text(), results))


if __name__ == "__main__":
    main()
