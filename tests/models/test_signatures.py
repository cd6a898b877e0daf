"""The signatures of the exported model, loaded like in a server."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from support.small_trainings import parameters, serialize
from support.tfds_directory import synthetic_examples

from models import signatures
from models.architectures import ARCHITECTURES
from models.features import (
    IMAGE,
    IMAGE_BYTES,
    IMAGE_SHAPE,
    LABEL,
    NUM_CLASSES,
    PROBABILITIES,
    SCORES,
)
from models.hyperparameters import Hyperparameters
from models.signatures import decode_image

_HEIGHT, _WIDTH, _CHANNELS = IMAGE_SHAPE
_RANDOM = np.random.default_rng(0)

SHAPES = [(28, 28, 1), (36, 20, 1), (32, 32, 3), (20, 36, 3)]
SIZES = [(1, 1), (3, 70), (70, 3), (28, 28), (57, 28), (36, 20), (301, 301), (199, 133)]


@pytest.fixture(scope="module")
def exported(trained: Path) -> tf.Module:
    return tf.saved_model.load(str(trained / "Format-Serving"))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Two images of each class that the model has not seen: uint8 (n, *IMAGE_SHAPE)."""
    return synthetic_examples(2, seed=1)[0]


def _classify_examples(exported: tf.Module, examples: list[bytes]) -> np.ndarray:
    output = exported.signatures["serving_default"](examples=tf.constant(examples, tf.string))
    return output[PROBABILITIES].numpy()


def _classify_images(exported: tf.Module, images: list[bytes]) -> np.ndarray:
    output = exported.signatures["serving_images"](images=tf.constant(images, tf.string))
    return output[PROBABILITIES].numpy()


def _predict_images(exported: tf.Module, images: np.ndarray) -> np.ndarray:
    output = exported.signatures["predict_images"](images=tf.constant(images, tf.float32))
    return output[SCORES].numpy()


def _image_only(image: np.ndarray) -> bytes:
    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(image.tobytes())
    return example.SerializeToString()


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _encode(image: Image.Image, file_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def _decode(image: Image.Image) -> np.ndarray:
    return decode_image(tf.constant(_encode(image))).numpy()


def test_signatures_have_the_documented_names_and_types(exported: tf.Module) -> None:
    described = {
        name: (
            {
                key: spec.shape.as_list() if spec.shape.rank is not None else None
                for key, spec in function.structured_input_signature[1].items()
            },
            {
                key: (spec.shape.as_list(), spec.dtype.name)
                for key, spec in function.structured_outputs.items()
            },
        )
        for name, function in exported.signatures.items()
    }
    probabilities = {"probabilities": ([None, NUM_CLASSES], "float32")}
    transformed = {"image": ([None, *IMAGE_SHAPE], "float32"), "label": ([None], "int64")}
    assert described == {
        "serving_default": ({"examples": [None]}, probabilities),
        "serving_images": ({"images": [None]}, probabilities),
        "predict_images": ({"images": None}, {"scores": ([None, NUM_CLASSES], "float32")}),
        "transform_features": ({"examples": [None]}, transformed),
    }


def test_only_the_parameters_are_exported_once_as_constants(trained: Path) -> None:
    count = ARCHITECTURES["cnn"](Hyperparameters()).count_params()
    assert sum(tensor.size for tensor in parameters(trained).values()) == count
    files = [path for path in (trained / "Format-Serving").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4 * count + 250_000


def test_most_unseen_images_are_classified_correctly(exported: tf.Module) -> None:
    images, labels = synthetic_examples(20, seed=2)
    probabilities = _classify_examples(exported, [_image_only(image) for image in images])
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.9
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_examples_need_neither_label_nor_statistics(
    exported: tf.Module, images: np.ndarray
) -> None:
    np.testing.assert_array_equal(
        _classify_examples(exported, [_image_only(image) for image in images]),
        _classify_examples(exported, [serialize(image, 1) for image in images]),
    )


def test_a_png_is_classified_exactly_like_its_raw_example(
    exported: tf.Module, images: np.ndarray
) -> None:
    np.testing.assert_array_equal(
        _classify_images(exported, [_encode(_picture(image)) for image in images]),
        _classify_examples(exported, [_image_only(image) for image in images]),
    )


ARRAY_SHAPES = [IMAGE_SHAPE, (IMAGE_BYTES,), *([IMAGE_SHAPE[:2]] if _CHANNELS == 1 else [])]


@pytest.mark.parametrize("image_shape", ARRAY_SHAPES, ids=str)
def test_pixel_arrays_are_classified_exactly_like_raw_examples(
    exported: tf.Module, images: np.ndarray, image_shape: tuple[int, ...]
) -> None:
    pixels = images.reshape(len(images), *image_shape).astype(np.float32) / 255
    np.testing.assert_array_equal(
        _predict_images(exported, pixels),
        _classify_examples(exported, [_image_only(image) for image in images]),
    )
    assert _predict_images(exported, pixels[:0]).shape == (0, NUM_CLASSES)


@pytest.mark.parametrize("value", [-0.01, 1.01, 255, np.nan, np.inf])
def test_pixels_outside_0_to_1_are_an_error(
    exported: tf.Module, images: np.ndarray, value: float
) -> None:
    pixels = images / 255
    pixels[-1, 0, 0, 0] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"pixel values in \[0, 1\], received"):
        _predict_images(exported, pixels)


@pytest.mark.parametrize(
    "shape",
    [(), (0,), (IMAGE_BYTES,), IMAGE_SHAPE, (2, IMAGE_BYTES - 1), (1, 1, *IMAGE_SHAPE)],
    ids=str,
)
def test_arrays_without_a_batch_of_whole_images_are_an_error(
    exported: tf.Module, shape: tuple[int, ...]
) -> None:
    received = ",".join(map(str, shape))
    message = rf"Expected images of shape \[batch,.*, received \[{received}\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        _predict_images(exported, np.zeros(shape))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("factor", [0.5, 3, 10.75])
def test_images_of_any_size_are_classified_correctly(
    exported: tf.Module, images: np.ndarray, factor: float, file_format: str
) -> None:
    size = (round(_WIDTH * factor), round(_HEIGHT * factor))
    resized = [_picture(image).resize(size, Image.Resampling.BICUBIC) for image in images]
    found = _classify_images(exported, [_encode(image, file_format) for image in resized])
    raw = _classify_examples(exported, [_image_only(image) for image in images])
    assert (found.argmax(axis=1) == raw.argmax(axis=1)).mean() >= 0.8


def test_an_image_of_a_batch_does_not_depend_on_the_others(
    exported: tf.Module, images: np.ndarray
) -> None:
    small, large = (_encode(_picture(images[0]).resize((side, side))) for side in (40, 200))
    together = _classify_images(exported, [small, large])
    alone = [_classify_images(exported, [image])[0] for image in (small, large)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("signature", ["serving_default", "serving_images", "transform_features"])
def test_an_empty_batch_returns_an_empty_result(exported: tf.Module, signature: str) -> None:
    (name,) = exported.signatures[signature].structured_input_signature[1]
    outputs = exported.signatures[signature](**{name: tf.constant([], tf.string)})
    assert {output.shape[0] for output in outputs.values()} == {0}


def test_transform_features_returns_what_the_network_reads(
    exported: tf.Module, images: np.ndarray
) -> None:
    examples = tf.constant([serialize(image, label) for label, image in enumerate(images)])
    outputs = exported.signatures["transform_features"](examples=examples)
    np.testing.assert_array_equal(outputs[IMAGE], images.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(outputs[LABEL], np.arange(len(images)))


def test_a_raw_image_of_another_length_is_an_error(exported: tf.Module) -> None:
    message = f"Expected raw images of {IMAGE_BYTES} bytes"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        _classify_examples(exported, [_image_only(np.zeros(IMAGE_BYTES - 1, np.uint8))])


@pytest.mark.parametrize(
    ("encoded", "message"), [(b"", "Input is empty"), (b"text", "Unknown image file format")]
)
def test_bytes_that_are_not_an_image_are_an_error(
    exported: tf.Module, encoded: bytes, message: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        _classify_images(exported, [encoded])


def test_loads_without_keras_and_without_this_project(trained: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('keras', 'tf_keras', 'models', 'tensorflow_transform'):\n"
        "    sys.modules[name] = None\n"
        "import tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "example = tf.train.Example()\n"
        "example.features.feature['image'].bytes_list.value.append(bytes(int(sys.argv[2])))\n"
        "examples = tf.constant([example.SerializeToString()])\n"
        "print(model.signatures['serving_default'](examples=examples)['probabilities'].shape)\n"
    )
    command = [sys.executable, "-c", script, str(trained / "Format-Serving"), str(IMAGE_BYTES)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"(1, {NUM_CLASSES})\n"), done.stderr


def test_runs_in_a_session_like_in_tensorflow_serving(
    trained: Path, exported: tf.Module, images: np.ndarray
) -> None:
    examples = [_image_only(image) for image in images]
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(trained / "Format-Serving"))
        signature = loaded.signature_def["serving_default"]
        (probabilities,) = session.run(
            [signature.outputs[PROBABILITIES].name], {signature.inputs["examples"].name: examples}
        )
    np.testing.assert_array_equal(probabilities, _classify_examples(exported, examples))


@pytest.fixture(params=SHAPES, ids=str)
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, int]:
    """The shape of another data set's images."""
    monkeypatch.setattr(signatures, "IMAGE_SHAPE", request.param)
    return request.param


def _photo(size: tuple[int, int]) -> Image.Image:
    """A smooth RGB picture with some noise."""
    smooth = Image.fromarray(_RANDOM.integers(0, 256, (9, 9, 3)).astype(np.uint8)).resize(size)
    noise = _RANDOM.integers(-20, 21, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pillow_decodes_to_the_same_pixels_within_1(
    shape: tuple[int, int, int], size: tuple[int, int], mode: str, file_format: str
) -> None:
    encoded = _encode(_photo(size).convert(mode), file_format)
    image = Image.open(io.BytesIO(encoded)).convert("L" if shape[2] == 1 else "RGB")
    padded = ImageOps.pad(image, (shape[1], shape[0]), Image.Resampling.BILINEAR)
    decoded = decode_image(tf.constant(encoded)).numpy()
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, np.round(decoded))
    np.testing.assert_allclose(decoded, np.asarray(padded, np.float32).reshape(shape), atol=1)


def _color_by_alpha(picture: Image.Image) -> Image.Image:
    white = Image.new("L", picture.size, 255)
    return Image.merge("RGBA", (white, white, white, picture.convert("L")))


SAME_GRAY: dict[str, Callable[[Image.Image], Image.Image]] = {
    "grayscale": lambda picture: picture,
    "grayscale_and_alpha": lambda picture: picture.convert("LA"),
    "rgb": lambda picture: picture.convert("RGB"),
    "palette": lambda picture: picture.convert("P"),
    "opaque_rgba": lambda picture: picture.convert("RGBA"),
    "white_by_alpha": _color_by_alpha,
    "16_bit": lambda picture: Image.fromarray(np.asarray(picture, np.uint16) * 257),
}


@pytest.mark.parametrize("kind", SAME_GRAY)
def test_a_gray_image_keeps_its_pixels(shape: tuple[int, int, int], kind: str) -> None:
    picture = _photo((shape[1], shape[0])).convert("L")
    expected = np.repeat(np.asarray(picture)[..., np.newaxis], shape[2], axis=2)
    np.testing.assert_array_equal(_decode(SAME_GRAY[kind](picture)), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_color_image_keeps_its_colors_or_its_luma(shape: tuple[int, int, int], mode: str) -> None:
    picture = _photo((shape[1], shape[0]))
    colors = np.asarray(picture)
    luma = np.round(colors @ (0.299, 0.587, 0.114))[..., np.newaxis]
    expected = luma if shape[2] == 1 else colors
    np.testing.assert_allclose(_decode(picture.convert(mode)), expected, atol=0)


def test_transparent_parts_are_blended_with_black(shape: tuple[int, int, int]) -> None:
    picture = Image.new("RGBA", (shape[1], shape[0]), (200, 200, 200, 51))
    np.testing.assert_array_equal(_decode(picture), np.full(shape, 40))


def test_a_narrow_image_keeps_its_proportions_between_black(shape: tuple[int, int, int]) -> None:
    height, width, _ = shape
    decoded = _decode(Image.new("L", (width // 2, height), 255))
    left = width // 4
    expected = np.zeros(shape)
    expected[:, left : left + width // 2] = 255
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize(("size", "long_side"), [((1, 5000), 0), ((5000, 1), 1)])
def test_an_extremely_narrow_image_stays_visible(
    shape: tuple[int, int, int], size: tuple[int, int], long_side: int
) -> None:
    lit = _decode(Image.new("L", size, 255)) == 255
    assert lit.sum() == shape[long_side] * shape[2]


def test_large_images_are_averaged_rather_than_sampled(shape: tuple[int, int, int]) -> None:
    height, width, _ = shape
    lines = np.zeros((10 * height, 10 * width), np.uint8)
    lines[np.arange(10 * height) % 4 < 2] = 255
    decoded = _decode(Image.fromarray(lines))
    np.testing.assert_allclose(decoded[1:-1], 127.5, atol=5)
