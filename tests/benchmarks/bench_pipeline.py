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
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from benchmarks import bench_results
from benchmarks.bench_results import FIT, PLAIN, ROOT, STOCK, Run

from models.hyperparameters import Hyperparameters
from models.progress import HISTORY_FILE

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
    """A process that ended, with the lines of its standard error that `EVENT` matches.

    Attributes:
      events: wall seconds and CPU seconds since the start, and the line.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    events: list[tuple[float, float, str]]
    stdout: str


EVENT = re.compile(r"Component \S+ is (?:running|finished)\.|val_accuracy")
_STEP = re.compile(r"Component (\S+) is (running|finished)\.")
_EPOCH = re.compile(r"epoch (\d+).*val_accuracy ([\d.]+)")


def main() -> None:
    """Runs what is left to run, and prints and writes the results."""
    options = parse_options()
    options.work.mkdir(parents=True, exist_ok=True)
    log = options.work / "runs.jsonl"
    if not options.resume:
        log.unlink(missing_ok=True)
    runs = bench_results.read_runs(log.read_text().splitlines()) if log.exists() else []
    done = {(run.contender, run.round) for run in runs}
    machine = describe_machine()
    data = [f"--data={options.data}", f"--limit={options.limit}"]
    _module("benchmarks.stock_tfx", "prepare", str(options.work / "examples"), *data)
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
        "default": default_recipe(),
        "machine": machine,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "commands": time_commands(options.work),
    }
    results = bench_results.make_results(runs, facts)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    print()
    print(bench_results.BLOCKS["summary"](results))
    print(bench_results.BLOCKS["stages"](results))
    print(f"Results: {options.output}")


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Compare the pipeline with its alternatives.")
    known = [PLAIN, STOCK, *recipes()]
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
    parser.add_argument("--work", type=Path, default=Path("output/benchmark"))
    parser.add_argument("--output", type=Path, default=Path("output/benchmark/results.json"))
    parser.add_argument("--resume", action="store_true", help="skip the runs that are done")
    options = parser.parse_args(arguments)
    if unknown := set(options.contenders) - set(known):
        parser.error(f"expected contenders of {', '.join(known)}, received {', '.join(unknown)}")
    return options


def is_full(options: argparse.Namespace) -> bool:
    """Whether the runs use all data and epochs."""
    return bool(options.data == "tfds" and options.limit == 0 and options.epochs == 1)


def recipes() -> list[str]:
    """Returns the names of the recipes."""
    try:
        from models.recipes import RECIPES
    except ImportError:
        return [default_recipe()]
    return list(RECIPES)


def default_recipe() -> str:
    """Returns the name of the recipe that is used without --recipe."""
    return str(getattr(Hyperparameters(), "recipe", "notebook"))


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
    if default_recipe() in own:
        yield from ((default_recipe(), number) for number in range(rounds, seeds))


def run_contender(name: str, number: int, options: argparse.Namespace) -> Run:
    """Runs a contender in a fresh directory. The round determines the seed."""
    directory = options.work / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    seed = FIRST_SEED + number
    if name in (PLAIN, STOCK):
        command, rerun = _other_command(name, seed, directory, options), None
        measured = measure(command, directory / "stderr.log")
        steps, epochs = read_events(measured.events)
        facts = json.loads(measured.stdout.splitlines()[-1])
    else:
        command = _own_command(name, seed, directory, options)
        measured = measure(command, directory / "stderr.log")
        rerun = measure(command, directory / "rerun.log").seconds
        steps, epochs = read_events(measured.events)
        facts = _own_facts(json.loads(measured.stdout))
        steps[FIT], epochs = _read_history(directory / "root", epochs)
    return Run(
        contender=name,
        round=number,
        seed=seed,
        seconds=round(measured.seconds, 3),
        cpu_seconds=round(measured.cpu_seconds, 3),
        peak_bytes=measured.peak_bytes,
        steps=steps,
        epochs=epochs,
        rerun_seconds=rerun and round(rerun, 3),
        commit=_commit(),
        **facts,
    )


def _other_command(name: str, seed: int, directory: Path, options: argparse.Namespace) -> list[str]:
    from benchmarks.plain_keras import EPOCHS

    script = {
        PLAIN: ["benchmarks.plain_keras"],
        STOCK: [
            "benchmarks.stock_tfx",
            "run",
            str(options.work / "examples"),
            f"--root={directory / 'root'}",
        ],
    }[name]
    return [
        sys.executable,
        "-m",
        *script,
        f"--data={options.data}",
        f"--limit={options.limit}",
        f"--epochs={scaled(EPOCHS, options.epochs)}",
        f"--seed={seed}",
    ]


def _own_command(recipe: str, seed: int, directory: Path, options: argparse.Namespace) -> list[str]:
    selected = {"recipe": recipe} if "recipe" in Hyperparameters.model_fields else {}
    epochs = scaled(Hyperparameters(**selected).epochs, options.epochs)
    return [
        *(sys.executable, "-m", "pipeline", "run", "--json", "--verbose"),
        f"--data={options.data}",
        f"--limit={options.limit}",
        f"--seed={seed}",
        f"--pipeline-root={directory / 'root'}",
        f"--serving-dir={directory / 'serving'}",
        *(f"--{key}={value}" for key, value in selected.items()),
        *([] if is_full(options) else [f"--epochs={epochs}", *LOOSE_GATES]),
    ]


def scaled(epochs: int, share: float) -> int:
    """Returns a share of the epochs, at least 1."""
    return max(1, round(epochs * share))


def _own_facts(outcome: dict[str, Any]) -> dict[str, int]:
    """Reads the JSON of `mnist-pipeline run --json`."""
    return {
        "train_images": outcome["data"]["counts"]["train"],
        "correct": outcome["metrics"]["correct"],
        "test_images": outcome["metrics"]["examples"],
    }


def _read_history(
    root: Path, epochs: list[list[float]]
) -> tuple[list[float | None], list[list[float]]]:
    """Returns the seconds of `model.fit`, and the epochs with their exact accuracies."""
    (path,) = root.glob(f"Trainer/model_run/*/{HISTORY_FILE}")
    rows = json.loads(path.read_text())["epochs"]
    exact = [[row["val_accuracy"], time] for row, (_, time) in zip(rows, epochs, strict=True)]
    return [round(sum(row["seconds"] for row in rows), 3), None], exact


def read_events(
    events: Sequence[tuple[float, float, str]],
) -> tuple[dict[str, list[float | None]], list[list[float]]]:
    """Returns the wall and CPU seconds of each step, and the accuracy and time of each epoch."""
    started: dict[str, tuple[float, float]] = {}
    steps: dict[str, list[float | None]] = {}
    epochs = []
    for seconds, cpu_seconds, line in events:
        if step := _STEP.search(line):
            name, state = step.groups()
            if state == "running":
                started[name] = seconds, cpu_seconds
            else:
                wall, cpu = started[name]
                steps[name] = [round(seconds - wall, 3), round(cpu_seconds - cpu, 3)]
        elif epoch := _EPOCH.search(line):
            epochs.append([float(epoch[2]), round(seconds, 3)])
    return steps, epochs


def measure(command: Sequence[str], log: Path) -> Measured:
    """Runs a command and measures its time and memory, including its children's.

    Args:
      command: program and arguments.
      log: receives the standard error.

    Raises:
      RuntimeError: if the exit status is not 0.
    """
    began = time.perf_counter()
    events = []
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
        tree = _ProcessTree(process.pid)
        sampler = _Sampler(tree)
        sampler.start()
        assert process.stderr is not None
        for line in process.stderr:
            copy.write(line)
            if EVENT.search(line):
                events.append((time.perf_counter() - began, tree.cpu_seconds(), line))
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = max(sampler.stop(), usage.ru_maxrss * 1024)
        stdout.seek(0)
        output = stdout.read()
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode} of {command}: see {log}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, peak, events, output)


class _ProcessTree:
    """A process and its children."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """User and system time so far, including that of children that ended."""
        return self._sum(lambda process: sum(process.cpu_times()[:4]))

    def resident_bytes(self) -> int:
        """Resident memory. Pages that processes share count once for each."""
        return int(self._sum(lambda process: process.memory_info().rss))

    def _sum(self, value: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        try:
            for process in (self._root, *self._root.children(recursive=True)):
                total += value(process)
        except psutil.NoSuchProcess:
            pass  # It ended in the meantime.
        return total


class _Sampler(threading.Thread):
    """Samples the memory of a process tree until `stop`, which returns the largest value."""

    def __init__(self, tree: _ProcessTree) -> None:
        super().__init__(daemon=True)
        self._tree = tree
        self._stopped = threading.Event()
        self._peak = 0

    def run(self) -> None:
        while not self._stopped.wait(_SECONDS_BETWEEN_SAMPLES):
            self._peak = max(self._peak, self._tree.resident_bytes())

    def stop(self) -> int:
        self._stopped.set()
        self.join()
        return self._peak


def time_commands(work: Path) -> dict[str, float]:
    """Returns the shortest wall seconds of `--help` and, if a model was released, `releases`."""
    commands = {"`mnist-pipeline --help`": ["--help"]}
    if released := next(iter(work.glob("*/serving")), None):
        commands["`releases`"] = ["releases", f"--serving-dir={released}"]
    return {
        name: round(
            min(
                measure(
                    [sys.executable, "-m", "pipeline", *arguments], work / "command.log"
                ).seconds
                for _ in range(COMMAND_REPEATS)
            ),
            3,
        )
        for name, arguments in commands.items()
    }


def describe_machine() -> dict[str, str]:
    """Describes the machine. Also brings TensorFlow's and TFX's files into the page cache."""
    code = (
        "import tfx.v1; from models.hardware import describe_hardware; print(describe_hardware())"
    )
    hardware = _run([sys.executable, "-c", code]).splitlines()[-1]
    flags = Path("/proc/cpuinfo").read_text().split()
    fast = [name for name in ("amx_bf16", "avx512_bf16") if name in flags]
    return {
        "hardware": hardware,
        "bfloat16": ", ".join(fast) or "none",
        "python": platform.python_version(),
    }


def _commit() -> str:
    return _run(["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude", "*"]).strip()


def _module(name: str, *arguments: str) -> None:
    _run([sys.executable, "-m", name, *arguments])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _environment() -> dict[str, str]:
    """Returns the environment of the contenders, who import the project from this checkout."""
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


if __name__ == "__main__":
    main()
