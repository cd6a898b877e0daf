"""Inspects and runs a SavedModel in a process of its own: `probe.py` <request.json>.

The process has no state of the run that created the model, and reads a copy of the model in another
directory, like a server. It writes `Findings` to FINDINGS_FILE and the probabilities to
ARRAYS_FILE, both in the current directory. `run_probe` starts it.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.model_gate import saved_model
from components.model_gate.behavior import INSPECTIONS, NOT_CHECKED, Inspection, Latency
from models.features import IMAGE, IMAGE_BYTES, IMAGE_SHAPE, LABEL, NUM_CLASSES
from models.validation import Frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Images = NDArray[np.uint8]
    Probabilities = NDArray[np.float32]

FINDINGS_FILE = "findings.json"
ARRAYS_FILE = "probabilities.npz"
_REQUEST_FILE = "request.json"
_LOG_FILE = "log"

TIMEOUT_SECONDS = 1800
"""A model that takes longer is rejected. MNIST's takes 5 to 10 seconds."""

TOLERANCE = 1e-4
"""Largest difference of a probability that counts as the same answer.

Batches of another size are summed in another order, which changes a probability by about 1e-6.
"""

_SUM_TOLERANCE = 1e-3

_MOST_EXAMPLES = 1000
"""Largest number of test images in a batch."""

_UNEVEN_BATCHES = (1, 2, 1, 7, 64, 3)
_SAMPLE = 1000
"""Number of test images that all signatures classify. All are classified by the first one."""

_REPEATED = 128
_LISTED = 3
_CLASSIFYING = ("serving_default", "serving_images", "predict_images")
_ROUNDS = 50
_LATENCY_SECONDS = 10.0


class Request(Frozen):
    """Input of the process: directories of SavedModels, and gzipped TFRecord files of examples."""

    model: str
    baseline: str | None
    test_files: tuple[str, ...]


class Findings(Frozen):
    """Output of the process, besides the arrays in ARRAYS_FILE.

    Attributes:
      problems: see `Behavior`.
      baseline_problem: the reason why the baseline could not be run; empty if it was run or there
        is none.
      latencies: see `Behavior`.
    """

    problems: dict[Inspection, tuple[str, ...]]
    baseline_problem: str = ""
    latencies: tuple[Latency, ...] = ()


@dataclass(frozen=True)
class Run:
    """Probabilities for all test images.

    Attributes:
      labels: int64 of shape (n,).
      candidate: float32 of shape (n, NUM_CLASSES).
      baseline: like `candidate`; None if there is no baseline or it could not be run.
    """

    labels: NDArray[np.int64]
    candidate: NDArray[np.float32]
    baseline: NDArray[np.float32] | None = None


class ProbeError(Exception):
    """The process ended without findings."""


def run_probe(request: Request, directory: Path) -> Findings:
    """Runs this module in a new process on the CPU.

    Args:
      request: with absolute paths.
      directory: existing directory for the output of the process.

    Raises:
      ProbeError: if the process fails or takes longer than TIMEOUT_SECONDS, because the model
        crashes it, hangs or takes too much memory.
    """
    (directory / _REQUEST_FILE).write_text(request.to_json(), encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # The process of the run may have reserved the memory of the GPU.
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    log = directory / _LOG_FILE
    with log.open("wb") as output:
        try:
            status = subprocess.run(
                [sys.executable, "-m", __spec__.name, _REQUEST_FILE],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise ProbeError(f"took longer than {TIMEOUT_SECONDS} seconds") from error
    if status:
        lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
        raise ProbeError(f"exit status {status}: {textwrap.shorten(lines[-1], 300)}")
    return Findings.model_validate_json((directory / FINDINGS_FILE).read_bytes())


def read_run(directory: Path) -> Run | None:
    """Reads the arrays of a process; None if it didn't run the model on the test images."""
    path = directory / ARRAYS_FILE
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return Run(**arrays)


def main(request_file: str) -> None:
    """Writes the findings about the model of a request."""
    request = Request.model_validate_json(Path(request_file).read_bytes())
    problems = _inspect_files(Path(request.model))
    arrays: dict[str, Any] = {}
    findings = Findings(problems=problems)
    if not any(problems[name] for name in ("files", "operations", "signatures")):
        findings = _run(request, problems, arrays)
    if arrays:
        np.savez(ARRAYS_FILE, **arrays)
    Path(FINDINGS_FILE).write_text(findings.to_json(), encoding="utf-8")


def _inspect_files(directory: Path) -> dict[Inspection, tuple[str, ...]]:
    """Checks what can be checked without running anything."""
    problems: dict[Inspection, tuple[str, ...]] = dict.fromkeys(INSPECTIONS, (NOT_CHECKED,))
    problems["files"] = _few(saved_model.file_problems(directory))
    if problems["files"]:
        return problems
    try:
        graph = saved_model.read_graph(directory)
    except ValueError as error:
        return problems | {"files": (str(error),)}
    problems["operations"] = _few(saved_model.operation_problems(graph))
    problems["signatures"] = _few(saved_model.signature_problems(graph))
    return problems


def _run(
    request: Request, problems: dict[Inspection, tuple[str, ...]], arrays: dict[str, Any]
) -> Findings:
    """Runs both models. A candidate that fails is a problem of its signatures."""
    try:
        candidate = _Model(request.model)
        labels, probabilities, found = _run_candidate(candidate, request.test_files)
    except Exception as error:  # noqa: BLE001 - TensorFlow raises many types
        return Findings(problems=problems | {"signatures": (_reason(error),)})
    problems = problems | {name: _few(values) for name, values in found.items()}
    if labels is None:
        return Findings(problems=problems)
    arrays.update(labels=labels, candidate=probabilities)
    if request.baseline is None:
        return Findings(problems=problems)
    try:
        baseline = _Model(request.baseline)
        rows = [baseline.serving_default(batch) for batch in _batches(request.test_files)]
        arrays["baseline"] = np.concatenate(rows)
        latencies = _measure(candidate, baseline, next(_batches(request.test_files)))
    except Exception as error:  # noqa: BLE001
        return Findings(problems=problems, baseline_problem=_reason(error))
    return Findings(problems=problems, latencies=latencies)


class _Model:
    """A loaded SavedModel. Each method returns the output of a signature for a batch."""

    def __init__(self, directory: str) -> None:
        import tensorflow as tf

        self._model = tf.saved_model.load(directory)
        self.names = frozenset(self._model.signatures)

    def serving_default(self, batch: _Batch) -> Probabilities:
        return self._call("serving_default", batch.examples)[0]

    def serving_images(self, batch: _Batch) -> Probabilities:
        return self._call("serving_images", batch.pngs())[0]

    def predict_images(self, batch: _Batch) -> Probabilities:
        return self._call("predict_images", batch.images.astype(np.float32) / np.float32(255))[0]

    def transform_features(self, batch: _Batch) -> tuple[Any, Any]:
        image, label = self._call("transform_features", batch.examples)
        return image, label

    def _call(self, name: str, values: Any) -> list[NDArray[Any]]:
        """Returns the outputs of a signature, in the order of `saved_model.SIGNATURES`."""
        import tensorflow as tf

        inputs, outputs = saved_model.SIGNATURES[name]
        try:
            result = self._model.signatures[name](**{next(iter(inputs)): tf.constant(values)})
        except Exception as error:
            raise RuntimeError(f"{name} fails: {_reason(error)}") from error
        return [result[output].numpy() for output in outputs]


class _Batch:
    """Images in all forms that signatures accept.

    Attributes:
      images: uint8 of shape (n, *IMAGE_SHAPE).
      labels: int64 of shape (n,).
      examples: serialized raw tf.Examples.
    """

    def __init__(
        self, images: Images, labels: NDArray[np.int64], examples: Sequence[bytes] | None = None
    ) -> None:
        self.images = images
        self.labels = labels
        self.examples = list(examples if examples is not None else map(_serialize, images, labels))

    def pngs(self) -> list[bytes]:
        import tensorflow as tf

        return [tf.io.encode_png(image).numpy() for image in self.images]

    def take(self, rows: Sequence[int] | NDArray[Any]) -> _Batch:
        return _Batch(self.images[rows], self.labels[rows], [self.examples[row] for row in rows])

    def __len__(self) -> int:
        return len(self.examples)


def _serialize(image: Images, label: int) -> bytes:
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(image.tobytes())
    example.features.feature[LABEL].int64_list.value.append(int(label))
    return bytes(example.SerializeToString())


def _batches(files: Sequence[str]) -> Iterator[_Batch]:
    """Reads the examples in batches."""
    from components.common.example_batches import read_batches

    for batch in read_batches(files, most=_MOST_EXAMPLES):
        yield _Batch(batch.images, batch.labels, batch.serialized.numpy().tolist())


def _unusual_images() -> Images:
    """Draws images that no data set contains: flat, with one pixel, and noise."""
    generator = np.random.default_rng(0)
    flat = np.arange(0, 256, 5, np.uint8)
    pixels = generator.permutation(IMAGE_BYTES)[:128]
    single = np.zeros((len(pixels), IMAGE_BYTES), np.uint8)
    single[np.arange(len(pixels)), pixels] = 255
    noise = generator.integers(0, 256, (32, *IMAGE_SHAPE)).astype(np.uint8)
    images = [
        np.broadcast_to(flat.reshape(-1, 1, 1, 1), (len(flat), *IMAGE_SHAPE)),
        single.reshape(-1, *IMAGE_SHAPE),
        255 - single[:16].reshape(-1, *IMAGE_SHAPE),
        noise,
        np.where(noise % 2, 0, 255).astype(np.uint8),
    ]
    return np.concatenate(images)


def _run_candidate(
    model: _Model, files: Sequence[str]
) -> tuple[Any, Any, dict[Inspection, list[str]]]:
    """Returns labels, probabilities and problems; no labels if there are no examples."""
    found: dict[Inspection, list[str]] = {
        "probabilities": [],
        "agreement": [],
        "repeatability": [],
    }
    labels: list[Any] = []
    rows: list[Any] = []
    sampled = 0
    for batch in _batches(files):
        probabilities = model.serving_default(batch)
        found["probabilities"] += _invalid(probabilities, len(batch), "a test image")
        if probabilities.shape != (len(batch), NUM_CLASSES):
            return None, None, found
        if not rows:
            few = min(_REPEATED, len(batch))
            found["repeatability"] = _unrepeatable(model, batch.take(range(few)))
        part = batch.take(range(max(0, min(len(batch), _SAMPLE - sampled))))
        found["agreement"] += _disagreements(model, part, probabilities[: len(part)])
        sampled += len(part)
        labels.append(batch.labels)
        rows.append(probabilities)
    images = _unusual_images()
    unusual = _Batch(images, np.zeros(len(images), np.int64))
    probabilities = model.serving_default(unusual)
    found["probabilities"] += _invalid(probabilities, len(unusual), "an unusual image")
    found["agreement"] += _disagreements(model, unusual, probabilities)
    if not rows:
        return None, None, found
    return np.concatenate(labels), np.concatenate(rows), found


def _invalid(outputs: NDArray[Any], size: int, what: str) -> list[str]:
    """Describes outputs that are not probabilities. `what` names the images."""
    if outputs.shape != (size, NUM_CLASSES):
        return [f"expected shape {(size, NUM_CLASSES)}, received {outputs.shape}"]
    sums = outputs.sum(axis=1)
    for valid, problem in (
        (np.isfinite(outputs).all(axis=1), "not finite"),
        ((outputs >= 0).all(axis=1), "negative"),
        (np.abs(sums - 1) <= _SUM_TOLERANCE, "a sum other than 1"),
    ):
        if not valid.all():
            return [f"{what}: {problem} in {np.sum(~valid):,} of {size:,}"]
    return []


def _disagreements(model: _Model, batch: _Batch, expected: Probabilities) -> list[str]:
    """Compares the other signatures with `serving_default`, in another order and other batches."""
    from models.preprocessing import normalize_pixels

    if not len(batch):
        return []
    order = np.random.default_rng(1).permutation(len(batch))
    problems = []
    for name, classify in (
        ("serving_images", model.serving_images),
        ("predict_images", model.predict_images),
    ):
        received = np.concatenate([classify(batch.take(rows)) for rows in _unevenly(order)])
        problems += _difference(name, received, expected[order])
    image, label = model.transform_features(batch)
    problems += _difference("transform_features", image, normalize_pixels(batch.images).numpy())
    if not np.array_equal(label, batch.labels):
        problems.append("transform_features: labels other than those of the examples")
    return problems


def _unrepeatable(model: _Model, batch: _Batch) -> list[str]:
    """Asks `serving_default` again: the same batch, in reverse, and in other batches."""
    rows = np.arange(len(batch))
    expected = model.serving_default(batch)
    reverse = rows[::-1]
    uneven = [model.serving_default(batch.take(part)) for part in _unevenly(rows)]
    return [
        *_difference("the same batch again", model.serving_default(batch), expected),
        *_difference(
            "another order", model.serving_default(batch.take(reverse)), expected[reverse]
        ),
        *_difference("other batch sizes", np.concatenate(uneven), expected),
    ]


def _unevenly(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Splits rows into batches of _UNEVEN_BATCHES, and one of the remaining rows."""
    bounds = [end for end in itertools.accumulate(_UNEVEN_BATCHES) if end < len(rows)]
    return iter(np.split(rows, bounds))


def _difference(what: str, received: NDArray[Any], expected: NDArray[Any]) -> list[str]:
    """Compares outputs; NaN equals NaN, because `_invalid` reports it."""
    if received.shape != expected.shape:
        return [f"{what}: expected shape {expected.shape}, received {received.shape}"]
    close = np.isclose(received, expected, rtol=0, atol=TOLERANCE, equal_nan=True)
    differ = ~close.reshape(len(close), -1).all(axis=1)
    if not differ.any():
        return []
    return [f"{what}: other outputs for {np.sum(differ):,} of {len(differ):,} images"]


def _measure(candidate: _Model, baseline: _Model, batch: _Batch) -> tuple[Latency, ...]:
    """Measures how long the models take for single images, in turns on the same machine.

    The shortest times hardly depend on what else the machine does.
    """
    classify = {name: getattr(_Model, name) for name in _CLASSIFYING}
    images = [batch.take([row % len(batch)]) for row in range(_ROUNDS)]
    latencies = []
    for name, call in classify.items():
        if name not in baseline.names:
            continue
        times: tuple[list[float], list[float]] = ([], [])
        start = time.perf_counter()
        for image in images:
            for model, measured in zip((candidate, baseline), times, strict=True):
                began = time.perf_counter()
                call(model, image)
                measured.append(1000 * (time.perf_counter() - began))
            if time.perf_counter() - start > _LATENCY_SECONDS:
                break
        shortest = [min(measured) for measured in times]
        latencies.append(Latency(signature=name, candidate=shortest[0], baseline=shortest[1]))
    return tuple(latencies)


def _few(problems: Sequence[str]) -> tuple[str, ...]:
    """Keeps the first problems, and counts the others."""
    distinct = list(dict.fromkeys(problems))
    more = len(distinct) - _LISTED
    return (*distinct[:_LISTED], *([f"{more} more"] if more > 0 else []))


def _reason(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300)


if __name__ == "__main__":
    main(sys.argv[1])
