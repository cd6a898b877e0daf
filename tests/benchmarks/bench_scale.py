"""Compares the pipeline's time and memory on a data set and on 10 times as many images.

    PYTHONPATH=.:tests .venv/bin/python -m benchmarks.bench_scale --json scale.json

Makes the larger data set with a TFDS builder, which repeats each image with shifts of at most one
pixel, or reuses it from an earlier call with the same --large-dir. For each size, runs the pipeline
up to the Evaluator in a process of its own, with one epoch of at most --steps training steps and
the full validation split. Prints the wall and CPU seconds and the peak memory of each stage, which
include Beam's worker processes. The ratios compare the larger data set with the original.

Needs the full data set, prepared by TFDS (TFDS_DATA_DIR), and 0.5 GB of disk space for ten MNISTs.
`--until Transform` measures the data stages only; --beam-args compares Beam options, and `taskset`
before the command restricts it to some cores.
"""

# ruff: noqa: T201 - prints a table

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from benchmarks import process_tree
from support.tfds_directory import any_images

from components.data_gate.schema import Measured, propose_schema
from components.example_gen import sources
from models.definition import DATASET
from pipeline.stages import EVALUATOR, MODEL_GATE, STAGES

SHIFTS = [(0, 0), *((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)), (0, 0)]
"""Rows and columns by which each copy of the images is shifted."""

MEASURES = {"wall_s": "wall", "cpu_s": "CPU", "peak_mib": "peak"}


def main() -> None:
    """Parses the options, measures both sizes, prints the table and writes the JSON file."""
    options = _parser().parse_args()
    if options.child:
        _measure_here(Path(options.child), options)
        return
    with tempfile.TemporaryDirectory() as temporary:
        large = options.large_dir or Path(temporary, "large")
        make_large(large, options.copies)
        results: dict[str, Any] = {}
        for name, data_dir in (("original", sources.default_data_dir()), ("large", large)):
            command = [sys.executable, *sys.argv, "--child", str(data_dir)]
            root = options.root / name if options.root else Path(temporary, name)
            shutil.rmtree(root, ignore_errors=True)
            with Path(temporary, "log").open("w+") as log:
                run = [*command, "--root", str(root)]
                if subprocess.run(run, stdout=subprocess.PIPE, stderr=log, check=False).returncode:
                    log.seek(0)
                    sys.exit(log.read()[-5000:])
            results[name] = json.loads((root / "scale.json").read_text())
    results["copies"] = options.copies
    results["ratio"] = _ratios(results["original"], results["large"])
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def make_large(data_dir: Path, copies: int) -> None:
    """Writes a TFDS data set with `copies` shifted copies of each image, unless it exists."""
    if sources.is_prepared(str(data_dir)):
        return
    import tensorflow_datasets as tfds

    original = tfds.builder(f"{DATASET.tfds_name}:{DATASET.tfds_version}")

    class Large(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        """The original data set with shifted copies of each image."""

        name = DATASET.tfds_name
        VERSION = tfds.core.Version(DATASET.tfds_version)

        def _info(self) -> Any:
            features = {key: original.info.features[key] for key in ("image", "label")}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def _split_generators(self, dl_manager: Any) -> Any:
            return {split: self._generate_examples(split) for split in ("train", "test")}

        def _generate_examples(self, split: str) -> Any:
            count = original.info.splits[split].num_examples
            for copy in range(copies):
                shift = SHIFTS[copy % len(SHIFTS)]
                examples = tfds.as_numpy(original.as_dataset(split=split))
                for number, example in enumerate(examples):
                    image = np.roll(example["image"], shift, axis=(0, 1))
                    yield copy * count + number, {"image": image, "label": example["label"]}

    tfds.disable_progress_bar()
    Large(data_dir=data_dir).download_and_prepare()


def _measure_here(data_dir: Path, options: argparse.Namespace) -> None:
    """Runs the pipeline in this process and writes the measurements to its root."""
    import keras

    from pipeline.graph import create_pipeline
    from pipeline.runs.local_runner import run_locally
    from pipeline.settings import make_settings

    options.root.mkdir(parents=True)
    schema = options.root / "schema.pbtxt"
    # Accepts all values of the statistics, because shifted images violate the bound of the border.
    names: tuple[str, ...] = DATASET.image_statistics
    anything = dict.fromkeys(names, Measured(minimum=0, maximum=1, mean=0.5))
    schema.write_text(propose_schema(anything, any_images()))
    fit = keras.Model.fit

    def fit_few_steps(model: Any, data: Any, *, steps_per_epoch: int, **arguments: Any) -> Any:
        steps = min(steps_per_epoch, options.steps)
        return fit(model, data, steps_per_epoch=steps, **arguments)

    keras.Model.fit = fit_few_steps
    settings = {
        "data": "tfds",
        "data_dir": str(data_dir),
        "pipeline_root": str(options.root),
        "serving_dir": str(options.root / "serving"),
        "epochs": 1,
        "baseline": "none",
        "schema_file": str(schema),
        **({"beam_args": options.beam_args} if options.beam_args else {}),
    }
    meter = _Meter(STAGES[STAGES.index(options.until) + 1])
    with meter.sampling():
        result = run_locally(create_pipeline(make_settings(settings)), meter)
    if not isinstance(result.error, _Finished):
        raise result.error or AssertionError("expected the run to stop before its end")
    (options.root / "scale.json").write_text(json.dumps(meter.report()))


class _Finished(Exception):  # noqa: N818 - not an error
    """Ends the run before the first stage that is not measured."""


class _Meter:
    """Measures each stage: a `pipeline.runs.local_runner.Observer`."""

    def __init__(self, end: str) -> None:
        self._end = end
        self._stages: dict[str, dict[str, float]] = {}
        self._peak = 0
        self._process = psutil.Process()

    def began(self, name: str) -> None:
        if name == self._end:
            raise _Finished
        self._peak = 0
        self._start = time.perf_counter(), self._sample()

    def ended(self, stage: Any) -> None:
        wall, cpu = self._start
        self._stages[stage.name] = {
            "wall_s": time.perf_counter() - wall,
            "cpu_s": self._sample() - cpu,
            "peak_mib": self._peak / 2**20,
        }

    def report(self) -> dict[str, dict[str, float]]:
        stages = self._stages.values()
        total = {key: sum(stage[key] for stage in stages) for key in ("wall_s", "cpu_s")}
        peak = max(stage["peak_mib"] for stage in stages)
        return {**self._stages, "total": {**total, "peak_mib": peak}}

    @contextlib.contextmanager
    def sampling(self) -> Iterator[None]:
        """Samples memory in a thread."""
        done = threading.Event()

        def sample() -> None:
            while not done.wait(0.05):
                self._sample()

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _sample(self) -> float:
        """Updates the peak memory, and returns the CPU seconds so far."""
        cpu_seconds, used = process_tree.usage(self._process)
        self._peak = max(self._peak, used)
        return cpu_seconds


def _ratios(original: dict[str, Any], large: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        stage: {key: large[stage][key] / max(values[key], 1e-9) for key in MEASURES}
        for stage, values in original.items()
    }


def _print(results: dict[str, Any]) -> None:
    print(" " * 28 + "".join(f"{column:>12}" for column in MEASURES.values()))
    for stage in results["original"]:
        for name, unit in (("original", ("s", "s", "MiB")), ("large", ("s", "s", "MiB"))):
            cells = [
                f"{results[name][stage][key]:.1f} {u}"
                for key, u in zip(MEASURES, unit, strict=True)
            ]
            print(f"{stage:18}{name:10}" + "".join(f"{cell:>12}" for cell in cells))
        ratio = "".join(f"{results['ratio'][stage][key]:>11.2f}x" for key in MEASURES)
        print(f"{stage:18}{'ratio':10}{ratio}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=10, help="copies of each image")
    parser.add_argument("--large-dir", type=Path, help="TFDS data directory to make or reuse")
    parser.add_argument("--root", type=Path, help="directory for the runs' artifacts")
    parser.add_argument("--until", choices=STAGES[: STAGES.index(MODEL_GATE)], default=EVALUATOR)
    parser.add_argument("--steps", type=int, default=100, help="most training steps")
    parser.add_argument("--beam-args", help="Beam options, as for mnist-pipeline run")
    parser.add_argument("--json", type=Path, help="file for the measurements")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
