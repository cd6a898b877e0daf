from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from components.common.smoke_check import (
    UnusableModelError,
    check_model,
    check_predictions,
    read_examples,
)
from models.features import IMAGE, IMAGE_SHAPE, LABEL, NUM_CLASSES, PROBABILITIES, SCORES
from models.warm_up import predict_request, write_requests


@pytest.fixture
def examples(toy: Any) -> Any:
    """Returns serialized examples for which the toy model returns the given predictions."""

    def make(*predictions: int) -> list[bytes]:
        cases = [toy.Case(label=0, predicted=prediction) for prediction in predictions]
        return read_examples(f"{toy.examples(cases).uri}/Split-test", 100)

    return make


def test_a_model_with_valid_predictions_passes(toy, examples, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    check_model(toy.saved_model(tmp_path / "model"), examples(*range(NUM_CLASSES)))


@pytest.mark.parametrize(
    ("prediction", "problem"),
    [
        ("NAN", "must return finite probabilities of at least 0, received nan to nan"),
        ("INFINITY_AT_0", r"must return finite .*, received 0\.\d+ to inf"),
        ("ZEROS", "must return probabilities that sum to 1, received sums from 0.0"),
        ("SUM_OF_2", r"must return probabilities that sum to 1, .* to 2\.0$"),
    ],
)
def test_a_model_with_invalid_predictions_is_rejected(  # type: ignore[no-untyped-def]
    toy, examples, tmp_path: Path, prediction: str, problem: str
) -> None:
    with pytest.raises(UnusableModelError, match=problem):
        check_model(toy.saved_model(tmp_path / "model"), examples(1, getattr(toy, prediction)))


def test_a_model_with_another_number_of_classes_is_rejected(toy, examples, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    toy.classes = NUM_CLASSES + 1
    model = toy.saved_model(tmp_path / "model")
    expected = rf"of shape \(2, {NUM_CLASSES}\), received \(2, {toy.classes}\)"
    with pytest.raises(UnusableModelError, match=expected):
        check_model(model, examples(1, 2))


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index"])
def test_a_model_that_does_not_load_is_rejected(  # type: ignore[no-untyped-def]
    toy, examples, tmp_path: Path, file: str
) -> None:
    model = toy.saved_model(tmp_path / "model")
    (model / file).write_bytes(b"damaged")
    with pytest.raises(UnusableModelError, match=r"^it can't be loaded \(.*\)$"):
        check_model(model, examples(1))


def test_a_model_that_cannot_parse_the_examples_is_rejected(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(
        UnusableModelError, match=r"InvalidArgumentError: .*Could not parse example"
    ) as e:
        check_model(toy.saved_model(tmp_path / "model"), [b"not a tf.Example"])
    assert "\n" not in str(e.value), "TensorFlow's multi-line message must become one line"


def test_warm_up_requests_must_succeed(toy, examples, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """TensorFlow Serving refuses a model whose warm-up requests fail."""
    valid, invalid = (toy.saved_model(tmp_path / name) for name in ("valid", "invalid"))
    requests = examples(1)
    write_requests(valid, [predict_request("serving_default", examples=requests)])
    write_requests(
        str(invalid), [predict_request("serving_default", examples=[b"not a tf.Example"])]
    )
    check_model(valid, requests)
    with pytest.raises(
        UnusableModelError, match=r"^a warm-up request fails \(InvalidArgumentError: "
    ):
        check_model(invalid, requests)


@pytest.mark.parametrize(("count", "read"), [(2, 2), (5, 3), (0, 0)])
def test_only_the_first_examples_are_read(toy, count: int, read: int) -> None:  # type: ignore[no-untyped-def]
    artifact = toy.examples(toy.cases(right=3))
    assert len(read_examples(f"{artifact.uri}/Split-test", count)) == read


def test_a_missing_split_has_no_examples(tmp_path: Path) -> None:
    assert read_examples(str(tmp_path / "missing"), 5) == []


def _four_signatures(path: Path, broken: str = "") -> Path:
    """Writes a model that predicts the class in the first byte; `broken` breaks one signature."""
    image, label = tf.io.FixedLenFeature([], tf.string), tf.io.FixedLenFeature([], tf.int64)
    strings = tf.TensorSpec([None], tf.string)

    def classify(pixels: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(tf.cast(pixels[:, 0, 0, 0], tf.int32), NUM_CLASSES)

    def decode(examples: tf.Tensor) -> tf.Tensor:
        parsed = tf.io.parse_example(examples, {IMAGE: image})[IMAGE]
        return tf.reshape(tf.io.decode_raw(parsed, tf.uint8), (-1, *IMAGE_SHAPE))

    class Module(tf.Module):
        @tf.function(input_signature=[strings])
        def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return {PROBABILITIES: classify(decode(examples))}

        @tf.function(input_signature=[strings])
        def serving_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            pixels = tf.map_fn(tf.io.decode_png, images, fn_output_signature=tf.uint8)
            pixels = tf.reshape(pixels, (-1, *IMAGE_SHAPE))
            return {PROBABILITIES: classify(pixels + int(broken == "serving_images"))}

        @tf.function(input_signature=[tf.TensorSpec([None, *IMAGE_SHAPE], tf.float32)])
        def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            scale = 1.0 if broken == "predict_images" else 255.0
            return {SCORES: classify(tf.round(images * scale))}

        @tf.function(input_signature=[strings])
        def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            name = "absent" if broken == "transform_features" else LABEL
            labels = tf.io.parse_example(examples, {name: label})[name]
            return {IMAGE: tf.cast(decode(examples), tf.float32), LABEL: labels}

    module = Module()
    signatures = ("serving_default", "serving_images", "predict_images", "transform_features")
    tf.saved_model.save(
        module, str(path), signatures={name: getattr(module, name) for name in signatures}
    )
    return path


def test_a_model_whose_signatures_agree_passes(examples: Any, tmp_path: Path) -> None:
    check_model(_four_signatures(tmp_path / "model"), examples(*range(NUM_CLASSES)))


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("serving_images", "^signature serving_images must return the probabilities that "),
        ("predict_images", "^signature predict_images must return the probabilities that "),
        (
            "transform_features",
            r"^signature transform_features fails \(InvalidArgumentError: .*\)$",
        ),
    ],
)
def test_every_signature_is_run(examples: Any, tmp_path: Path, broken: str, problem: str) -> None:
    model, requests = _four_signatures(tmp_path / "model", broken), examples(1, 2)
    check_predictions(model, requests)
    with pytest.raises(UnusableModelError, match=problem):
        check_model(model, requests)
