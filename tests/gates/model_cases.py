"""Models, evaluations and baselines that the model gate must accept or reject.

Each case is a real SavedModel with one change. `fails` are the checks that must reject it; a case
without any must be blessed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from support.gate_models import PER_CLASS, GateModel, Workbench, marked_examples
from support.tfds_directory import Examples
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from models.features import (
    IMAGE_BYTES,
    IMAGE_SHAPE,
    NUM_CLASSES,
    PROBABILITIES,
    SCORES,
)
from models.preprocessing import normalize_pixels
from models.signatures import decode_image

Outputs = Mapping[str, tf.Tensor]
Signature = Callable[[GateModel, tf.Tensor], Outputs]
Answer = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

_SPECS = {
    "serving_default": tf.TensorSpec([None], tf.string, name="examples"),
    "serving_images": tf.TensorSpec([None], tf.string, name="images"),
    "predict_images": tf.TensorSpec(None, tf.float32, name="images"),
    "transform_features": tf.TensorSpec([None], tf.string, name="examples"),
}


@dataclass(frozen=True)
class Case:
    """One candidate and the checks that must reject it.

    Attributes:
      name: describes the case; also the id of its test.
      fails: names of the checks that must fail; others may fail, too. Empty for a model that must
        be blessed.
      answer: changes the probabilities of all signatures.
      signatures: functions that replace signatures.
      without: signatures to leave out.
      damage: changes the files of the exported model.
      wrong: marks of the images that the candidate classifies wrong.
      marks: rows of the test images by mark, such as `{"m1": [0, 10]}`.
      test: creates the test images.
      evaluates_candidate: whether the Evaluator evaluates the candidate, and not a model that is
        right about all images.
      baseline_wrong: like `wrong` for the baseline; None without a baseline.
      thresholds: other than the defaults.
      sharpness: see `build_network`.
      tampers: called with the test images' artifact after the evaluation.
    """

    name: str
    fails: tuple[str, ...] = ()
    answer: Answer | None = None
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    damage: Callable[[Path], object] | None = None
    wrong: tuple[int, ...] = ()
    marks: Mapping[str, Any] = field(default_factory=dict)
    test: Callable[..., Examples] = marked_examples
    evaluates_candidate: bool = True
    baseline_wrong: tuple[int, ...] | None = None
    thresholds: Mapping[str, object] = field(default_factory=dict)
    sharpness: float = 1.0
    tampers: Callable[[Workbench, Path], object] | None = None


def make_signature(name: str, model: GateModel, function: Signature) -> Any:
    """Creates a signature of a model; an unknown one has the inputs of `serving_default`."""
    spec = _SPECS.get(name, _SPECS["serving_default"])
    return tf.function(
        lambda values: function(model, values), input_signature=[spec], autograph=False
    )


def _rows(label: int, count: int) -> list[int]:
    """Returns the first rows of a class in `marked_examples`."""
    return [label + NUM_CLASSES * row for row in range(count)]


def _spread(count: int, first: int = 0) -> range:
    """Returns rows of all classes."""
    return range(first, first + count)


# Signatures.


def _pixels(pngs: tf.Tensor) -> tf.Tensor:
    spec = tf.TensorSpec(IMAGE_SHAPE, tf.float32)
    return tf.map_fn(decode_image, pngs, fn_output_signature=spec)


def _images(change: Callable[[tf.Tensor], tf.Tensor]) -> Mapping[str, Signature]:
    """Changes the network's input in `serving_images`: float32 (batch, *IMAGE_SHAPE) in [0, 1]."""
    return {"serving_images": lambda m, pngs: m._classify(change(normalize_pixels(_pixels(pngs))))}


def _image_answers(change: Callable[[tf.Tensor], tf.Tensor]) -> Mapping[str, Signature]:
    """Changes the probabilities of `serving_images`."""

    def signature(model: GateModel, pngs: tf.Tensor) -> Outputs:
        return {PROBABILITIES: change(model.classify_images(pngs)[PROBABILITIES])}

    return {"serving_images": signature}


def _fail(values: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.Assert(False, ["broken"])]):
        return tf.identity(values)


def _scores(change: Callable[[tf.Tensor], tf.Tensor]) -> Mapping[str, Signature]:
    return {"predict_images": lambda m, x: {SCORES: change(m.predict_images(x)[SCORES])}}


def _transformed(**changes: Callable[[tf.Tensor], tf.Tensor]) -> Mapping[str, Signature]:
    def signature(model: GateModel, examples: tf.Tensor) -> Outputs:
        outputs = model.transform_features(examples)
        return {name: changes.get(name, tf.identity)(value) for name, value in outputs.items()}

    return {"transform_features": signature}


def _default(
    change: Callable[[tf.Tensor], tf.Tensor], name: str = PROBABILITIES
) -> Mapping[str, Signature]:
    """Changes the probabilities of `serving_default`."""
    return {"serving_default": lambda m, x: {name: change(m.classify_examples(x)[PROBABILITIES])}}


SIGNATURE_CASES = [
    Case("images inverted", ("agreement",), signatures=_images(lambda x: 1 - x)),
    Case("images normalized twice", ("agreement",), signatures=_images(lambda x: x / 255)),
    Case("images not normalized", ("agreement",), signatures=_images(lambda x: x * 255)),
    Case(
        "images transposed",
        ("agreement",),
        signatures=_images(lambda x: tf.transpose(x, (0, 2, 1, 3))),
    ),
    Case("images mirrored", ("agreement",), signatures=_images(lambda x: x[:, :, ::-1])),
    Case(
        "image classes permuted",
        ("agreement",),
        signatures=_image_answers(lambda p: tf.roll(p, 1, axis=1)),
    ),
    Case(
        "image answers in another order",
        ("agreement",),
        signatures=_image_answers(lambda p: p[::-1]),
    ),
    Case(
        "image answers of the first image of the batch",
        ("agreement",),
        signatures=_image_answers(lambda p: tf.repeat(p[:1], tf.shape(p)[0], axis=0)),
    ),
    Case(
        "image answers wrong in large batches only",
        ("agreement",),
        signatures=_image_answers(
            lambda p: tf.cond(tf.shape(p)[0] > 100, lambda: tf.roll(p, 1, axis=1), lambda: p)
        ),
    ),
    Case("images fail", ("signatures",), signatures=_image_answers(_fail)),
    Case("images missing", ("signatures",), without=("serving_images",)),
    Case(
        "image answers in float64",
        ("signatures",),
        signatures=_image_answers(lambda p: tf.cast(p, tf.float64)),
    ),
    Case("scores missing", ("signatures",), without=("predict_images",)),
    Case("scores permuted", ("agreement",), signatures=_scores(lambda p: tf.roll(p, 1, axis=1))),
    Case("scores are logits", ("agreement",), signatures=_scores(lambda p: tf.math.log(p + 1e-9))),
    Case("scores are labels", ("signatures",), signatures=_scores(lambda p: tf.argmax(p, axis=1))),
    Case(
        "scores of pixels divided again",
        ("agreement",),
        signatures={"predict_images": lambda m, x: m.predict_images(x / 255)},
    ),
    Case("features missing", ("signatures",), without=("transform_features",)),
    Case(
        "features with other labels",
        ("agreement",),
        signatures=_transformed(label=lambda y: (y + 1) % NUM_CLASSES),
    ),
    Case(
        "features with labels in int32",
        ("signatures",),
        signatures=_transformed(label=lambda y: tf.cast(y, tf.int32)),
    ),
    Case(
        "features not normalized", ("agreement",), signatures=_transformed(image=lambda x: x * 255)
    ),
    Case("features inverted", ("agreement",), signatures=_transformed(image=lambda x: 1 - x)),
    Case(
        "default missing", ("signatures",), without=("serving_default",), evaluates_candidate=False
    ),
    Case(
        "default with another name of its output",
        ("signatures",),
        signatures=_default(tf.identity, name="output_0"),
        evaluates_candidate=False,
    ),
    Case("default fails", ("signatures",), signatures=_default(_fail), evaluates_candidate=False),
    Case(
        "one class too few",
        ("probabilities",),
        signatures=_default(lambda p: p[:, 1:]),
        evaluates_candidate=False,
    ),
    Case(
        "one class too many",
        ("probabilities",),
        signatures=_default(lambda p: tf.pad(p, [[0, 0], [0, 1]])),
        evaluates_candidate=False,
    ),
    Case(
        "default permuted, in agreement with its evaluation",
        ("accuracy", "agreement"),
        signatures=_default(lambda p: tf.roll(p, 1, axis=1)),
    ),
    Case(
        "a signature that is not checked",
        ("signatures",),
        signatures={"debug": lambda m, x: m.classify_examples(x)},
    ),
]


# Answers that depend on other images.


def _position(probabilities: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Mixes in more of the uniform distribution for later images of a batch."""
    del images
    share = tf.cast(tf.range(tf.shape(probabilities)[0]), tf.float32)[:, tf.newaxis] / 10000
    return probabilities * (1 - share) + share / NUM_CLASSES


def _of_batch_size(probabilities: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    del images
    single = tf.shape(probabilities)[0] == 1
    return tf.cond(single, lambda: probabilities * 0 + 1 / NUM_CLASSES, lambda: probabilities)


REPEATABILITY_CASES = [
    Case(
        "answers depend on the other images",
        ("repeatability",),
        answer=lambda p, x: 0.9 * p + 0.1 * tf.reduce_mean(p, axis=0, keepdims=True),
    ),
    Case(
        "answers depend on the neighbor",
        ("repeatability",),
        answer=lambda p, x: 0.9 * p + 0.1 * tf.roll(p, 1, axis=0),
    ),
    Case("answers depend on the position", ("repeatability",), answer=_position),
    Case("single images get other answers", ("repeatability",), answer=_of_batch_size),
    Case(
        "random answers",
        ("operations",),
        answer=lambda p, x: 0.9 * p + 0.1 * tf.random.uniform(()) * tf.one_hot(0, NUM_CLASSES),
    ),
]


# Probabilities.


def _where(
    condition: Callable[[tf.Tensor], tf.Tensor], change: Callable[[tf.Tensor], tf.Tensor]
) -> Answer:
    """Changes the probabilities of images whose flat pixels, in [0, 1], satisfy a condition."""

    def answer(probabilities: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(images, (-1, IMAGE_BYTES))
        return tf.where(condition(flat)[:, tf.newaxis], change(probabilities), probabilities)

    return answer


def _blank(flat: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(flat, axis=1) == 0


def _full(flat: tf.Tensor) -> tf.Tensor:
    return tf.reduce_min(flat, axis=1) == 1


def _noise(flat: tf.Tensor) -> tf.Tensor:
    return tf.math.reduce_std(flat[:, :100], axis=1) > 0.2


def _one_pixel(flat: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flat > 0, tf.int32), axis=1) == 1


def _marked(flat: tf.Tensor) -> tf.Tensor:
    return tf.round(flat[:, 0] * 255) == 9


def _nan(p: tf.Tensor) -> tf.Tensor:
    return p * float("nan")


def _negative(p: tf.Tensor) -> tf.Tensor:
    """Changes the probability of two classes, so that the sum is still 1."""
    return p + tf.constant([-1.5, 1.5] + [0.0] * (NUM_CLASSES - 2))


PROBABILITY_CASES = [
    *(
        Case(f"{what} for {images}", ("probabilities",), answer=_where(condition, change))
        for what, change in (
            ("NaN", _nan),
            ("negative probabilities", _negative),
            ("a sum of 2", lambda p: 2 * p),
            ("zeros", lambda p: 0 * p),
        )
        for images, condition in (
            ("blank images", _blank),
            ("full images", _full),
            ("noise", _noise),
            ("images with one pixel", _one_pixel),
        )
    ),
    *(
        Case(
            f"{what} for one test image",
            ("probabilities",),
            answer=_where(_marked, change),
            marks={"m9": [1050]},
        )
        for what, change in (
            ("NaN", _nan),
            ("infinity", lambda p: p + float("inf")),
            ("negative probabilities", _negative),
            ("a sum of 2", lambda p: 2 * p),
        )
    ),
    Case("NaN for all images", ("accuracy", "probabilities", "loss"), answer=lambda p, x: _nan(p)),
    Case(
        "constant answers",
        ("accuracy", "class_recall"),
        answer=lambda p, x: 0 * p + tf.one_hot(0, NUM_CLASSES),
    ),
    Case("uniform answers", ("accuracy",), answer=lambda p, x: 0 * p + 1 / NUM_CLASSES),
]

_ERRORS: dict[str, Any] = {"marks": {"m1": _spread(30)}, "wrong": (1,)}


def _one_hot(p: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    del images
    return tf.one_hot(tf.argmax(p, axis=1), NUM_CLASSES)


def _powered(power: float) -> Answer:
    def answer(p: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        del images
        powers = p**power
        return powers / tf.reduce_sum(powers, axis=1, keepdims=True)

    return answer


def _flattened(share: float) -> Answer:
    return lambda p, x: (1 - share) * p + share / NUM_CLASSES


CALIBRATION_CASES = [
    Case("always certain", ("overconfidence",), answer=_one_hot, **_ERRORS),
    Case("far too certain", ("overconfidence",), answer=_powered(30), **_ERRORS),
    Case("too uncertain", ("calibration",), answer=_flattened(0.2), **_ERRORS),
    Case("slightly uncertain", answer=_flattened(0.02)),
    Case("always certain and always right", answer=_one_hot),
]


# Operations.


def _and(run: Callable[[], tf.Tensor]) -> Answer:
    """Runs an operation next to the network, which doesn't change the probabilities."""

    def answer(probabilities: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        del images
        with tf.control_dependencies([run()]):
            return tf.identity(probabilities)

    return answer


def _never(run: Callable[[], tf.Tensor]) -> Answer:
    """Has an operation in a branch that no image takes."""

    def answer(probabilities: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        def branch() -> tf.Tensor:
            with tf.control_dependencies([run()]):
                return tf.identity(probabilities)

        return tf.cond(tf.reduce_max(images) > 2, branch, lambda: probabilities)

    return answer


_FORBIDDEN: dict[str, Callable[[], tf.Tensor]] = {
    "reads a file": lambda: tf.io.read_file("/etc/hostname"),
    "writes a file": lambda: tf.io.write_file("written", "text"),
    "lists files": lambda: tf.io.matching_files("/etc/*"),
    "calls Python": lambda: tf.py_function(lambda: 1, [], tf.int32),
    "calls NumPy": lambda: tf.numpy_function(lambda: 1, [], tf.int64),
    "prints": lambda: tf.print("text"),
    "asks for the time": tf.timestamp,
    "reads a checkpoint": lambda: tf.raw_ops.RestoreV2(
        prefix="/x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "writes a checkpoint": lambda: tf.raw_ops.SaveV2(
        prefix="x", tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1)]
    ),
    "reads records": lambda: tf.raw_ops.TFRecordDataset(
        filenames=["/x"], compression_type="", buffer_size=1
    ),
}

OPERATION_CASES = [
    *(
        # The Evaluator runs in this process, where Python functions of the model exist.
        Case(f"{what} in a branch never taken", ("operations",), answer=_never(run))
        for what, run in _FORBIDDEN.items()
    ),
    Case(
        "writes a file for each batch",
        ("operations",),
        answer=_and(_FORBIDDEN["writes a file"]),
        evaluates_candidate=False,
    ),
    Case("calls NumPy for each batch", ("operations",), answer=_and(_FORBIDDEN["calls NumPy"])),
]


# Files.


def _link(link: str, target: str) -> Callable[[Path], object]:
    def damage(model: Path) -> None:
        path = model / link
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target)

    return damage


def _replace_by_link(model: Path) -> None:
    graph = model / "saved_model.pb"
    graph.rename(model.with_name("elsewhere.pb"))
    graph.symlink_to(model.with_name("elsewhere.pb"))


def _pipe(model: Path) -> None:
    os.mkfifo(model / "assets" / "pipe")


def _second_graph(model: Path) -> None:
    path = model / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    saved_model.meta_graphs.add().CopyFrom(saved_model.meta_graphs[0])
    path.write_bytes(saved_model.SerializeToString())


def _graph(content: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def damage(model: Path) -> None:
        path = model / "saved_model.pb"
        path.write_bytes(content(path.read_bytes()))

    return damage


def _large(model: Path) -> None:
    with (model / "assets" / "large").open("wb") as file:
        file.truncate(100_000_000)


FILE_CASES = [
    Case("a link to a file", ("files",), damage=_link("assets/link", "/etc/hostname")),
    Case("a link to a directory", ("files",), damage=_link("assets/link", "/etc")),
    Case("a link within the model", ("files",), damage=_link("link", "saved_model.pb")),
    Case("a link to nothing", ("files",), damage=_link("assets/link", "nothing")),
    Case("the graph is a link", ("files",), damage=_replace_by_link),
    Case("a named pipe", ("evidence",), damage=_pipe),
    Case("two graphs", ("files",), damage=_second_graph),
    Case("a truncated graph", ("files",), damage=_graph(lambda b: b[: len(b) // 2])),
    Case("an empty graph", ("files",), damage=_graph(lambda b: b"")),
    Case("no graph", ("files",), damage=lambda model: (model / "saved_model.pb").unlink()),
    Case("no model", ("evidence",), damage=shutil.rmtree),
    Case("no variables", ("signatures",), damage=lambda model: shutil.rmtree(model / "variables")),
    Case("a large file", ("size",), damage=_large),
    Case("an additional small file", damage=lambda model: (model / "assets" / "a").touch()),
]


# Time, the baseline and the data.


def _slow(p: tf.Tensor) -> tf.Tensor:
    def step(index: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index + 1, tf.sin(value) * 1e-9 + 1

    return p * tf.while_loop(lambda i, _: i < 2000, step, (0, tf.ones(())))[1] ** 0


BASELINE_CASES = [
    Case("the same model again", baseline_wrong=()),
    Case("a better model", baseline_wrong=(1,), marks={"m1": _spread(30)}),
    Case(
        "another seed",
        wrong=(1,),
        baseline_wrong=(2,),
        marks={"m1": _spread(14), "m2": _spread(8, 20)},
    ),
    Case(
        "significantly worse",
        ("regression",),
        wrong=(1,),
        baseline_wrong=(2,),
        marks={"m1": _spread(40), "m2": _spread(10, 50)},
    ),
    Case(
        "worse in one class, better in others",
        ("class_regression",),
        wrong=(1,),
        baseline_wrong=(2,),
        marks={"m1": _rows(3, 16), "m2": [row + 1 for row in _rows(3, 14)]},
    ),
    Case("slow", ("latency",), answer=lambda p, x: _slow(p), baseline_wrong=()),
    Case(
        "slow for PNGs only",
        ("latency",),
        signatures=_image_answers(_slow),
        baseline_wrong=(),
    ),
]


def _few(label: int, count: int) -> Callable[..., Examples]:
    """Creates test images with only `count` images of a class."""

    def create(**marks: Any) -> Examples:
        images, labels = marked_examples(PER_CLASS + 10, **marks)
        keep = labels != label
        keep[_rows(label, count)] = True
        return images[keep], labels[keep]

    return create


def _rewrite(change: Callable[[Examples], Examples]) -> Callable[[Workbench, Path], object]:
    """Replaces the test images after the evaluation."""

    def tamper(bench: Workbench, examples: Path) -> None:
        other = bench.examples(f"{examples.name}-replaced", change(marked_examples()))
        shutil.rmtree(examples)
        shutil.move(other.uri, examples)

    return tamper


DATA_CASES = [
    Case("exactly the accuracy threshold", wrong=(1,), marks={"m1": _spread(55)}),
    Case("one error more", ("accuracy",), wrong=(1,), marks={"m1": _spread(56)}),
    Case("exactly the recall threshold", wrong=(1,), marks={"m1": _rows(4, 11)}),
    Case("one error more in a class", ("class_recall",), wrong=(1,), marks={"m1": _rows(4, 12)}),
    Case("few images of a class", ("class_examples",), test=_few(5, 19)),
    Case("a single image of a class", ("class_examples",), test=_few(5, 1)),
    Case("no image of a class", ("class_examples",), test=_few(5, 0)),
    Case("enough images of a class", test=_few(5, 20)),
    Case("few images", ("examples",), test=lambda **marks: marked_examples(99, **marks)),
    Case(
        "the evaluation of a better model",
        ("evaluation",),
        wrong=(1,),
        marks={"m1": _spread(30)},
        evaluates_candidate=False,
    ),
    Case(
        "the evaluation of a model of 100%, for a model of 0%",
        ("evaluation",),
        answer=lambda p, x: tf.roll(p, 1, axis=1),
        evaluates_candidate=False,
    ),
    Case(
        "some test images removed after the evaluation",
        ("test_data", "evaluation"),
        tampers=_rewrite(lambda e: (e[0][:1050], e[1][:1050])),
    ),
    Case(
        "test labels shifted after the evaluation",
        ("test_data", "evaluation"),
        tampers=_rewrite(lambda e: (e[0], (e[1] + 1) % NUM_CLASSES)),
    ),
    Case(
        "test images exchanged after the evaluation",
        ("test_data", "evaluation"),
        tampers=_rewrite(lambda e: (e[0][::-1], e[1])),
    ),
    Case(
        "other test images with equal counts after the evaluation",
        ("test_data",),
        tampers=_rewrite(lambda e: (np.minimum(e[0], 250), e[1])),
    ),
    Case(
        "all thresholds off",
        wrong=(1,),
        marks={"m1": _spread(900)},
        thresholds={
            "accuracy_threshold": 0,
            "class_recall_threshold": 0,
            "max_loss": 1000,
            "max_calibration_error": 1,
            "max_overconfidence": 1000,
        },
    ),
]

HONEST_CASES = [
    Case("a first model"),
    Case("a less certain network", sharpness=0.7),
    Case("a more certain network", sharpness=2.0),
]

CASES = [
    *HONEST_CASES,
    *SIGNATURE_CASES,
    *REPEATABILITY_CASES,
    *PROBABILITY_CASES,
    *CALIBRATION_CASES,
    *OPERATION_CASES,
    *FILE_CASES,
    *BASELINE_CASES,
    *DATA_CASES,
]
