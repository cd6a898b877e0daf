"""What the exported model answers, loaded as a server would load it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.small_trainings import parameters, real_digits, serialize

from models.features import IMAGE, LABEL

_COUNT = 20


@pytest.fixture(scope="module")
def exported(trained: Path) -> tf.Module:
    return tf.saved_model.load(str(trained / "Format-Serving"))


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """Digits that the model has not seen: uint8 (n, 28, 28)."""
    return real_digits()[0][-_COUNT:, :, :, 0]


def _classify_examples(exported: tf.Module, examples: list[bytes]) -> np.ndarray:
    output = exported.signatures["serving_default"](examples=tf.constant(examples, tf.string))
    return output["probabilities"].numpy()


def _classify_images(exported: tf.Module, images: list[bytes]) -> np.ndarray:
    output = exported.signatures["serving_images"](images=tf.constant(images, tf.string))
    return output["probabilities"].numpy()


def _image_only(digit: np.ndarray) -> bytes:
    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(digit.tobytes())
    return example.SerializeToString()


def _encode(image: Image.Image, file_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def _ink_by_alpha(digit: np.ndarray) -> Image.Image:
    white = np.full_like(digit, 255)
    return Image.fromarray(np.dstack([white, white, white, digit]))


SAME_DIGIT: dict[str, Callable[[np.ndarray], Image.Image]] = {
    "grayscale": Image.fromarray,
    "grayscale_and_alpha": lambda digit: Image.fromarray(digit).convert("LA"),
    "colour": lambda digit: Image.fromarray(digit).convert("RGB"),
    "palette": lambda digit: Image.fromarray(digit).convert("P"),
    "opaque_rgba": lambda digit: Image.fromarray(digit).convert("RGBA"),
    "white_rgba_with_ink_by_alpha": _ink_by_alpha,
    "16_bit": lambda digit: Image.fromarray(digit.astype(np.uint16) * 257),
}


def test_signatures_have_the_names_and_types_that_others_rely_on(exported: tf.Module) -> None:
    described = {
        name: (
            {
                key: spec.shape.as_list()
                for key, spec in function.structured_input_signature[1].items()
            },
            {
                key: (spec.shape.as_list(), spec.dtype.name)
                for key, spec in function.structured_outputs.items()
            },
        )
        for name, function in exported.signatures.items()
    }
    probabilities = {"probabilities": ([None, 10], "float32")}
    transformed = {"image": ([None, 28, 28, 1], "float32"), "label": ([None], "int64")}
    assert described == {
        "serving_default": ({"examples": [None]}, probabilities),
        "serving_images": ({"images": [None]}, probabilities),
        "transform_features": ({"examples": [None]}, transformed),
    }


def test_nothing_is_exported_but_the_parameters(trained: Path) -> None:
    assert sum(tensor.size for tensor in parameters(trained).values()) == 863_082


def test_most_unseen_digits_are_recognised(exported: tf.Module) -> None:
    images, labels = (values[-500:] for values in real_digits())
    probabilities = _classify_examples(exported, [_image_only(image) for image in images])
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.9
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_examples_need_neither_label_nor_scalar_features(
    exported: tf.Module, digits: np.ndarray
) -> None:
    complete = [serialize(digit, 3) for digit in digits]
    np.testing.assert_array_equal(
        _classify_examples(exported, [_image_only(digit) for digit in digits]),
        _classify_examples(exported, complete),
    )


@pytest.mark.parametrize("kind", SAME_DIGIT)
def test_a_png_of_a_digit_is_classified_as_its_raw_example_exactly(
    exported: tf.Module, digits: np.ndarray, kind: str
) -> None:
    images = [_encode(SAME_DIGIT[kind](digit)) for digit in digits]
    np.testing.assert_array_equal(
        _classify_images(exported, images),
        _classify_examples(exported, [_image_only(digit) for digit in digits]),
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_a_digit_is_classified_nearly_as_its_raw_example(
    exported: tf.Module, digits: np.ndarray, mode: str
) -> None:
    images = [_encode(Image.fromarray(digit).convert(mode), "JPEG") for digit in digits]
    raw = _classify_examples(exported, [_image_only(digit) for digit in digits])
    assert np.abs(_classify_images(exported, images) - raw).mean() < 0.02


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("side", [14, 100, 301])
def test_images_of_any_size_are_recognised(
    exported: tf.Module, digits: np.ndarray, side: int, file_format: str
) -> None:
    images = [
        Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC) for digit in digits
    ]
    resized = _classify_images(exported, [_encode(image, file_format) for image in images])
    raw = _classify_examples(exported, [_image_only(digit) for digit in digits])
    assert (resized.argmax(axis=1) == raw.argmax(axis=1)).mean() >= 0.8


def test_a_narrow_image_keeps_its_proportions(exported: tf.Module, digits: np.ndarray) -> None:
    cropped = [digit[:, 7:21] for digit in digits]
    padded = [np.pad(crop, ((0, 0), (7, 7))) for crop in cropped]
    np.testing.assert_array_equal(
        _classify_images(exported, [_encode(Image.fromarray(crop)) for crop in cropped]),
        _classify_images(exported, [_encode(Image.fromarray(image)) for image in padded]),
    )


def test_colours_count_by_their_lightness(exported: tf.Module) -> None:
    side = np.zeros((28, 28), np.uint8)
    bright = np.full((28, 28), 255, np.uint8)
    green = _encode(Image.fromarray(np.dstack([side, bright, side])))
    gray = _encode(Image.fromarray(np.full((28, 28), round(0.587 * 255), np.uint8)))
    np.testing.assert_array_equal(
        _classify_images(exported, [green]), _classify_images(exported, [gray])
    )


def test_large_images_are_averaged_not_sampled(exported: tf.Module) -> None:
    lines = np.zeros((280, 280), np.uint8)
    lines[np.arange(280) % 4 < 2] = 255
    gray = np.full((280, 280), 127, np.uint8)
    np.testing.assert_allclose(
        _classify_images(exported, [_encode(Image.fromarray(lines))]),
        _classify_images(exported, [_encode(Image.fromarray(gray))]),
        atol=0.02,
    )


def test_an_image_of_a_batch_does_not_depend_on_the_others(
    exported: tf.Module, digits: np.ndarray
) -> None:
    small, large = (_encode(Image.fromarray(digits[0]).resize((side, side))) for side in (40, 200))
    together = _classify_images(exported, [small, large])
    alone = [_classify_images(exported, [image])[0] for image in (small, large)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("signature", ["serving_default", "serving_images", "transform_features"])
def test_an_empty_batch_has_an_empty_answer(exported: tf.Module, signature: str) -> None:
    (name,) = exported.signatures[signature].structured_input_signature[1]
    outputs = exported.signatures[signature](**{name: tf.constant([], tf.string)})
    assert {output.shape[0] for output in outputs.values()} == {0}


def test_transform_features_gives_what_the_network_reads(
    exported: tf.Module, digits: np.ndarray
) -> None:
    examples = tf.constant([serialize(digit, label) for label, digit in enumerate(digits)])
    outputs = exported.signatures["transform_features"](examples=examples)
    expected = digits[..., np.newaxis].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(outputs[IMAGE], expected)
    np.testing.assert_array_equal(outputs[LABEL], np.arange(_COUNT))


def test_a_raw_image_of_another_length_is_an_error(exported: tf.Module) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected raw images of 784 bytes"):
        _classify_examples(exported, [_image_only(np.zeros(783, np.uint8))])


@pytest.mark.parametrize(
    ("encoded", "message"), [(b"", "Input is empty"), (b"text", "Unknown image file format")]
)
def test_what_is_no_image_is_an_error(exported: tf.Module, encoded: bytes, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        _classify_images(exported, [encoded])


def test_loads_where_there_is_neither_keras_nor_this_project(trained: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('keras', 'tf_keras', 'models', 'tensorflow_transform'):\n"
        "    sys.modules[name] = None\n"
        "import tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "example = tf.train.Example()\n"
        "example.features.feature['image'].bytes_list.value.append(bytes(784))\n"
        "examples = tf.constant([example.SerializeToString()])\n"
        "print(model.signatures['serving_default'](examples=examples)['probabilities'].shape)\n"
    )
    command = [sys.executable, "-c", script, str(trained / "Format-Serving")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "(1, 10)\n"), done.stderr
