"""Compares this pipeline with a plain Keras script and with stock TFX components.

    make bench          # 5,000 digits and few epochs, under 5 minutes on 2 cores
    make bench-full     # all of MNIST, the default recipe with 5 seeds

Each run is a process of its own. A round runs every contender once, this pipeline between the
others, so that a change of the machine's load affects all of them; ratios are taken within a round.
Finished runs are appended to a file of JSON lines, and --resume skips them. The results are printed
as a table and written as JSON (`bench_results.make_results`).
"""

# ruff: noqa: T201 - prints a table

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from benchmarks import bench_results, process_tree
from benchmarks.bench_results import FIT, PLAIN, ROOT, STOCK, Run
from typing_extensions import override

from models.progress import HISTORY_FILE
from models.recipes import DEFAULT_RECIPE, RECIPES

FIRST_SEED = 42
COMMAND_REPEATS = 5
PACKAGES = ("tensorflow", "keras", "tfx", "apache-beam")
LOOSE_GATES = (
    "--accuracy-threshold=0",
    "--class-recall-threshold=0",
    "--max-loss=100",
    "--min-test-examples=1",
)
"""For runs with fewer epochs or images, which could fail the gates."""

_SECONDS_BETWEEN_SAMPLES = 0.2


class Measured(NamedTuple):
    """A process that ended.

    Attributes:
      seconds: wall time.
      cpu_seconds: including that of its children.
      peak_bytes: largest sum of the resident memory of the process and its children.
      lines: lines of standard error, with the wall seconds since the start.
      cpu_samples: wall seconds and CPU seconds since the start, in order.
      stdout: standard output.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    lines: list[tuple[float, str]]
    cpu_samples: list[tuple[float, float]]
    stdout: str

    def step(self, start: float, end: float) -> list[float]:
        """Returns the wall and CPU seconds between two times."""
        times, values = np.transpose(self.cpu_samples)
        cpu = np.interp([start, end], times, values)
        return [round(end - start, 3), round(float(cpu[1] - cpu[0]), 3)]


def main() -> None:
    """Runs what is left to run, and prints and writes the results."""
    options = parse_options()
    options.work.mkdir(parents=True, exist_ok=True)
    log = options.work / "runs.jsonl"
    if not options.resume:
        log.unlink(missing_ok=True)
    runs = bench_results.read_runs(log.read_text().splitlines()) if log.exists() else []
    done = {(run.contender, run.round) for run in runs}
    machine = describe_machine(options.work)
    _prepare(options)
    schedule = [
        (name, number)
        for name, number in make_schedule(options.contenders, options.rounds, options.seeds)
        if (name, number) not in done
    ]
    for position, (name, number) in enumerate(schedule, 1):
        run = run_contender(name, number, options)
        with log.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(run)) + "\n")
        runs.append(run)
        print(
            f"{position}/{len(schedule)} {name}, seed {run.seed}: {run.seconds:.0f} s, "
            f"{run.cpu_seconds:.0f} s of CPU, test accuracy {run.correct / run.test_images:.2%}",
            flush=True,
        )
    facts = {
        "command": f"make {'bench-full' if is_full(options) else 'bench'}",
        "target": options.target,
        "default": DEFAULT_RECIPE,
        "machine": machine,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "commands": time_commands(options.work),
    }
    results = bench_results.make_results(runs, facts)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(bench_results.to_text(results))
    print()
    print(bench_results.BLOCKS["summary"](results))
    print(bench_results.BLOCKS["stages"](results))
    print(f"Results: {options.output}")


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Compare the pipeline with its alternatives.")
    known = [PLAIN, STOCK, *RECIPES]
    parser.add_argument("--data", choices=("tfds", "bundled"), default="tfds")
    parser.add_argument("--limit", type=int, default=0, help="about this many images; 0: all")
    parser.add_argument("--epochs", type=float, default=1.0, help="share of the epochs to train")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each contender")
    parser.add_argument("--seeds", type=int, default=1, help="runs of the default recipe")
    parser.add_argument(
        "--contenders",
        type=lambda text: text.split(","),
        default=known,
        help=f"separated by commas, of {','.join(known)}",
    )
    parser.add_argument(
        "--target", type=float, default=0.9957, help="validation accuracy whose time is reported"
    )
    parser.add_argument("--work", type=_absolute, default="output/benchmark")
    parser.add_argument("--output", type=_absolute, default="output/benchmark/results.json")
    parser.add_argument("--resume", action="store_true", help="skip the runs that are done")
    options = parser.parse_args(arguments)
    if unknown := set(options.contenders) - set(known):
        parser.error(f"expected contenders of {', '.join(known)}, received {', '.join(unknown)}")
    return options


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def is_full(options: argparse.Namespace) -> bool:
    """Whether the runs use all data and epochs."""
    return bool(options.data == "tfds" and options.limit == 0 and options.epochs == 1)


def make_schedule(contenders: Sequence[str], rounds: int, seeds: int) -> Iterator[tuple[str, int]]:
    """Yields contenders and round numbers in the order in which they run.

    Within a round, recipes alternate with the other contenders. After the rounds, the default
    recipe runs again until it has had `seeds` seeds.
    """
    others = [name for name in (PLAIN, STOCK) if name in contenders]
    own = [name for name in contenders if name not in others]
    for number in range(rounds):
        for pair in zip_longest(others, own):
            yield from ((name, number) for name in pair if name is not None)
    if DEFAULT_RECIPE in own:
        yield from ((DEFAULT_RECIPE, number) for number in range(rounds, seeds))


def _prepare(options: argparse.Namespace) -> None:
    """Writes the examples for the stock components. Also downloads the data if needed."""
    command = [
        *(sys.executable, "-m", "benchmarks.stock_tfx", "prepare"),
        str(_examples(options)),
        f"--data={options.data}",
        f"--limit={options.limit}",
    ]
    measure(command, options.work / "prepare.log")


def _examples(options: argparse.Namespace) -> Path:
    path: Path = options.work / f"examples-{options.data}-{options.limit}"
    return path


def run_contender(name: str, number: int, options: argparse.Namespace) -> Run:
    """Runs a contender in a fresh directory. The round determines the seed."""
    directory = options.work / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    seed = FIRST_SEED + number
    own = name not in (PLAIN, STOCK)
    make_command = _own_command if own else _other_command
    command = make_command(name, seed, directory, options)
    measured = measure(command, directory / "stderr.log")
    facts = read_own(measured, directory / "root") if own else read_other(measured)
    rerun = measure(command, directory / "rerun.log").seconds if own else None
    return Run(
        contender=name,
        round=number,
        seed=seed,
        seconds=round(measured.seconds, 3),
        cpu_seconds=round(measured.cpu_seconds, 3),
        peak_bytes=measured.peak_bytes,
        rerun_seconds=rerun and round(rerun, 3),
        commit=_commit(),
        **facts,
    )


def _other_command(name: str, seed: int, directory: Path, options: argparse.Namespace) -> list[str]:
    scripts = {
        PLAIN: ["benchmarks.plain_keras"],
        STOCK: [
            *("benchmarks.stock_tfx", "run"),
            str(_examples(options)),
            f"--root={directory / 'root'}",
        ],
    }
    return [
        *(sys.executable, "-m", *scripts[name]),
        f"--data={options.data}",
        f"--limit={options.limit}",
        f"--epochs={scaled(RECIPES['notebook'].epochs, options.epochs)}",
        f"--seed={seed}",
    ]


def _own_command(recipe: str, seed: int, directory: Path, options: argparse.Namespace) -> list[str]:
    epochs = scaled(RECIPES[recipe].epochs, options.epochs)
    return [
        *(sys.executable, "-m", "pipeline", "run", "--json"),
        f"--data={options.data}",
        f"--limit={options.limit}",
        f"--seed={seed}",
        f"--pipeline-root={directory / 'root'}",
        f"--serving-dir={directory / 'serving'}",
        f"--recipe={recipe}",
        # Otherwise, the recipe may train longer on few images.
        *([] if options.epochs == 1 else [f"--epochs={epochs}"]),
        *([] if is_full(options) else LOOSE_GATES),
    ]


def scaled(epochs: int, share: float) -> int:
    """Returns a share of the epochs, at least 1."""
    return max(1, round(epochs * share))


_STEP = re.compile(r"Component (\S+) is (running|finished)\.")
_EPOCH = re.compile(r"^epoch \d+: val_accuracy ([\d.]+)")


def read_other(measured: Measured) -> dict[str, Any]:
    """Returns the facts for a `Run` of a script that prints `_STEP` and `_EPOCH` lines.

    The last line of its standard output is a JSON object with further facts.
    """
    started: dict[str, float] = {}
    steps = {}
    epochs = []
    for seconds, line in measured.lines:
        if found := _STEP.search(line):
            name, state = found.groups()
            if state == "running":
                started[name] = seconds
            else:
                steps[name] = measured.step(started[name], seconds)
        elif found := _EPOCH.search(line):
            epochs.append([float(found[1]), round(seconds, 3)])
    return {"steps": steps, "epochs": epochs, **json.loads(measured.stdout.splitlines()[-1])}


_STAGE_ENDED = re.compile(r"^(\w+) +done +[\d.]+ s")
_EPOCH_ENDED = re.compile(r"^ +epoch \d+/\d+ .*validation accuracy")


def read_own(measured: Measured, root: Path) -> dict[str, Any]:
    """Returns the facts for a `Run` of `mnist-pipeline run --json`, with its pipeline root.

    The lines on standard error give the times at which stages and epochs end, the JSON object and
    the training history their durations.
    """
    outcome = json.loads(measured.stdout)
    durations = {stage["name"]: stage["seconds"] for stage in outcome["stages"]}
    steps = {
        found[1]: measured.step(seconds - durations[found[1]], seconds)
        for seconds, line in measured.lines
        if (found := _STAGE_ENDED.search(line))
    }
    (history,) = root.glob(f"Trainer/model_run/*/{HISTORY_FILE}")
    rows = json.loads(history.read_text())["epochs"]
    ends = [seconds for seconds, line in measured.lines if _EPOCH_ENDED.search(line)]
    steps[FIT] = measured.step(ends[0] - rows[0]["seconds"], ends[-1])
    return {
        "steps": steps,
        "epochs": [
            [row["val_accuracy"], round(end, 3)] for row, end in zip(rows, ends, strict=True)
        ],
        "train_images": outcome["data"]["counts"]["train"],
        "correct": outcome["metrics"]["correct"],
        "test_images": outcome["metrics"]["examples"],
    }


def measure(command: Sequence[str], log: Path) -> Measured:
    """Runs a command and measures its time and memory, including its children's.

    Args:
      command: program and arguments.
      log: receives the standard error.

    Raises:
      RuntimeError: if the exit status is not 0.
    """
    began = time.perf_counter()
    lines = []
    with tempfile.TemporaryFile("w+") as stdout, log.open("w") as copy:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        sampler = _Sampler(process.pid, began)
        sampler.start()
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                lines.append((time.perf_counter() - began, line))
                copy.write(line)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.stop()
        stdout.seek(0)
        output = stdout.read()
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode} of {command}: see {log}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Measured(
        seconds,
        cpu_seconds,
        max(sampler.peak_bytes, usage.ru_maxrss * 1024),
        lines,
        [(0.0, 0.0), *sampler.cpu_samples, (seconds, cpu_seconds)],
        output,
    )


class _Sampler(threading.Thread):
    """Samples CPU time and memory of a process and its children until `stop`.

    Attributes:
      cpu_samples: see `Measured`.
      peak_bytes: see `process_tree.usage`.
    """

    def __init__(self, pid: int, began: float) -> None:
        super().__init__(daemon=True)
        self.cpu_samples: list[tuple[float, float]] = []
        self.peak_bytes = 0
        self._process = psutil.Process(pid)
        self._began = began
        self._stopped = threading.Event()

    @override
    def run(self) -> None:
        while not self._stopped.wait(_SECONDS_BETWEEN_SAMPLES):
            with contextlib.suppress(psutil.NoSuchProcess):  # The process ended.
                cpu_seconds, used = process_tree.usage(self._process)
                self.cpu_samples.append((time.perf_counter() - self._began, cpu_seconds))
                self.peak_bytes = max(self.peak_bytes, used)

    def stop(self) -> None:
        """Returns when no more samples are taken."""
        self._stopped.set()
        self.join()


def time_commands(work: Path) -> dict[str, float]:
    """Returns the shortest wall seconds of `--help` and, if a model was released, `releases`."""
    commands = {"`mnist-pipeline --help`": ["--help"]}
    if released := next(work.glob("*/serving"), None):
        commands["`releases`"] = ["releases", f"--serving-dir={released}"]

    def seconds(arguments: list[str]) -> float:
        return measure([sys.executable, "-m", "pipeline", *arguments], work / "command.log").seconds

    return {
        name: round(min(seconds(arguments) for _ in range(COMMAND_REPEATS)), 3)
        for name, arguments in commands.items()
    }


def describe_machine(work: Path) -> dict[str, str]:
    """Describes the machine. Also brings TensorFlow's and TFX's files into the page cache."""
    code = (
        "import tfx.v1; from models.hardware import describe_hardware; print(describe_hardware())"
    )
    described = measure([sys.executable, "-c", code], work / "machine.log").stdout
    return {"hardware": described.splitlines()[-1], "python": platform.python_version()}


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude", "*"]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def _environment() -> dict[str, str]:
    """Returns the environment of the contenders, who import the project from this checkout."""
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


if __name__ == "__main__":
    main()
