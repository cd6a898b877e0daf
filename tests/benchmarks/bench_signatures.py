"""Compares exported models: the CPU time of each signature, by batch size.

    python tests/benchmarks/bench_signatures.py [MODEL ...] [--cores 1] [--json FILE]

MODEL is the directory of a SavedModel or of a release. The first one is the reference. Without
models, the script exports the network twice, untrained: with its weights as variables, as Keras
does, and as constants, as this project does. All models must have equal outputs for ratios to mean
anything; `difference` is the largest deviation from the reference's outputs.

Calls of the models alternate in each of several rounds, and the best round counts, because other
processes may use the machine.
"""

# ruff: noqa: T201 - prints a table

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BATCH_SIZES = (1, 32, 256)
_IMAGES_PER_ROUND = 300


def main() -> None:
    """Measures all models and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="*", help="directories of SavedModels")
    parser.add_argument(
        "--cores", type=int, default=1, help="processors, and threads of TensorFlow"
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds for each row")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.cores)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.cores)
    with tempfile.TemporaryDirectory() as directory:
        models = arguments.models or export_variants(Path(directory))
        loaded = {str(model): tf.saved_model.load(str(model)) for model in models}
    print(
        f"{'':<18}{'batch':>6}{'ms/call':>9}{'images/s':>10}{'ratio':>7}{'difference':>12}  model"
    )
    rows = []
    for signature, inputs in make_inputs().items():
        for size in BATCH_SIZES:
            batch = {name: tf.constant(values[:size]) for name, values in inputs.items()}
            functions = {
                name: functools.partial(model.signatures[signature], **batch)
                for name, model in loaded.items()
            }
            for row in compare(functions, arguments.rounds, max(1, _IMAGES_PER_ROUND // size)):
                rows.append({"signature": signature, "batch": size, **row})
                print(
                    f"{signature:<18}{size:>6}{row['ms']:>9.3f}{1000 * size / row['ms']:>10.0f}"
                    f"{row['ratio']:>7.2f}{row['difference']:>12.1e}  {Path(row['model']).name}"
                )
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": arguments.cores, "rows": rows}, indent=2))


def compare(
    functions: Mapping[str, Callable[[], Any]], rounds: int, calls: int
) -> list[dict[str, Any]]:
    """Measures functions alternately.

    Returns:
      For each function, `model`: its name; `ms`: the CPU time of a call in the best round; `ratio`:
      to that of the first function; `difference`: the largest deviation from its outputs.
    """
    outputs = {
        name: next(iter(function().values())).numpy() for name, function in functions.items()
    }
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.process_time()
            for _ in range(calls):
                function()
            best[name] = min(best[name], (time.process_time() - start) / calls * 1000)
    (first, *_) = functions
    return [
        {
            "model": name,
            "ms": ms,
            "ratio": ms / best[first],
            "difference": float(np.abs(outputs[name] - outputs[first]).max()),
        }
        for name, ms in best.items()
    ]


def make_inputs() -> dict[str, dict[str, Any]]:
    """Returns random inputs for each signature that classifies images."""
    from support.served_models import encode, example

    from models.features import IMAGE_SHAPE

    shape = (max(BATCH_SIZES), *IMAGE_SHAPE)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return {
        "serving_default": {"examples": [example(image) for image in images]},
        "serving_images": {"images": [encode(image) for image in images]},
        "predict_images": {"images": (images / 255).astype(np.float32)},
    }


def export_variants(directory: Path) -> list[Path]:
    """Exports an untrained network with variables and with constants."""
    import tensorflow as tf
    from support.small_trainings import write_transform_graph
    from tensorflow_transform.output_wrapper import TFTransformOutput

    from models.architectures import ARCHITECTURES
    from models.hyperparameters import Hyperparameters
    from models.signatures import ServingModel

    class WithVariables(ServingModel):
        def __init__(self, model: Any, tft_output: TFTransformOutput) -> None:
            super().__init__(model, tft_output)
            self.model_variables = [variable.value for variable in model.variables]
            self._network = functools.partial(model, training=False)

    write_transform_graph(directory / "transform_graph")
    tft_output = TFTransformOutput(str(directory / "transform_graph"))
    model = ARCHITECTURES["cnn"](Hyperparameters())
    paths = []
    for name, kind in (("variables", WithVariables), ("constants", ServingModel)):
        serving = kind(model, tft_output)
        signatures = {
            "serving_default": serving.classify_examples,
            "serving_images": serving.classify_images,
            "predict_images": serving.predict_images,
        }
        paths.append(directory / name)
        tf.saved_model.save(serving, str(paths[-1]), signatures=signatures)
    return paths


if __name__ == "__main__":
    main()
