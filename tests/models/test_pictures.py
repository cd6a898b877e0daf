"""Pictures of any format and size are prepared for a model, or rejected."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models import pictures, signatures
from models.definition import DATASET
from models.pictures import (
    PictureError,
    PredictionError,
    Prepared,
    combine_views,
    find_preprocessing,
    open_picture,
    prepare_picture,
    resize_with_padding,
)

SIZES = [(28, 28), (40, 40), (99, 61), (61, 99), (300, 2), (2, 300), (9, 7), (1, 1), (640, 480)]


def noise(size: tuple[int, int], channels: int = 3) -> Image.Image:
    """A picture with smooth and sharp parts, identical in each call."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    pixels[: height // 2] = np.linspace(0, 255, width, dtype=np.uint8)[:, np.newaxis]
    return Image.fromarray(pixels if channels > 1 else pixels[:, :, 0])


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def prepared(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    return resize_with_padding(open_picture(data), shape).astype(float)


def prepared_by_model(data: bytes) -> np.ndarray:
    import tensorflow as tf

    return signatures.decode_image(tf.constant(data)).numpy()


SHAPES = [(28, 28, 1), (32, 32, 3), (32, 48, 3), DATASET.image_shape]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the image shape of the model's own signature."""
    monkeypatch.setattr(signatures, "IMAGE_SHAPE", request.param)
    return request.param


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_match_the_models_own_signature(
    shape: tuple[int, int, int], size: tuple[int, int], channels: int
) -> None:
    picture = encoded(noise(size, channels))
    np.testing.assert_allclose(prepared(picture, shape), prepared_by_model(picture), atol=1.01)


def test_photos_and_transparency_match_the_models_own_signature(
    shape: tuple[int, int, int],
) -> None:
    photo = encoded(noise((100, 80)).resize((400, 320)), "JPEG", quality=90)
    transparent = noise((100, 80))
    transparent.putalpha(noise((100, 80), 1))
    for picture in (photo, encoded(transparent)):
        # Pillow rounds once more, between colors, transparency and luma.
        np.testing.assert_allclose(prepared(picture, shape), prepared_by_model(picture), atol=2.01)


def test_image_of_the_right_size_keeps_its_pixels() -> None:
    for channels in (1, 3):
        picture = noise((20, 30), channels)
        image = resize_with_padding(open_picture(encoded(picture)), (30, 20, channels))
        assert (image.shape, image.dtype.name) == ((30, 20, channels), "uint8")
        assert np.array_equal(image.squeeze(), np.asarray(picture))


def test_rest_of_the_image_is_padded_with_black() -> None:
    image = resize_with_padding(Image.new("RGB", (100, 50), "white"), (32, 32, 3))
    assert (image[8:24] == 255).all()
    assert not image[:8].any()
    assert not image[24:].any()


def test_images_have_the_models_number_of_channels() -> None:
    gray, red = Image.new("L", (8, 8), 100), Image.new("RGB", (8, 8), (255, 0, 0))
    assert (resize_with_padding(gray, (8, 8, 3)) == 100).all()
    assert (resize_with_padding(red, (8, 8, 1)) == 76).all(), "0.299 * 255"


def invert(picture: Image.Image) -> Prepared:
    """A preprocessing with two views and a doubt."""
    image = resize_with_padding(picture, (4, 4, 1))
    return Prepared(np.stack([255 - image, image]), "inverted")


def test_named_preprocessing_is_used_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "invert", invert, raising=False)
    white = Image.new("L", (4, 4), 255)
    prepared = prepare_picture(white, (4, 4, 1), "models.pictures.invert")
    assert [view.max() for view in prepared.views] == [0, 255]
    assert prepared.doubt == "inverted"
    with pytest.raises(
        TypeError, match=r"8, 8, 1\) .*models.pictures.invert, received Prepared of"
    ):
        prepare_picture(white, (8, 8, 1), "models.pictures.invert")


@pytest.mark.parametrize("value", [np.zeros((1, 4, 4, 1), np.uint8), None])
def test_preprocessing_must_return_prepared_pictures(
    monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    monkeypatch.setattr(pictures, "bad", lambda picture: value, raising=False)
    with pytest.raises(
        TypeError, match=r"^Expected Prepared with views of shape \(1 or more, 4, 4"
    ):
        prepare_picture(Image.new("L", (4, 4)), (4, 4, 1), "models.pictures.bad")


def test_without_a_preprocessing_there_is_one_view_and_no_doubt() -> None:
    prepared = prepare_picture(noise((40, 30)), (8, 8, 3), "")
    assert prepared.views.shape == (1, 8, 8, 3)
    assert np.array_equal(prepared.views[0], resize_with_padding(noise((40, 30)), (8, 8, 3)))
    assert prepared.doubt == ""


def views(count: int, doubt: str = "") -> Prepared:
    return Prepared(np.zeros((count, 4, 4, 1), np.uint8), doubt)


def test_predictions_for_the_views_of_a_picture_are_averaged() -> None:
    rows = np.array([[0.75, 0.25], [0.25, 0.75], [0, 1], [1, 0]], np.float32)
    found = combine_views([views(1), views(2), views(1)], rows, 0)
    assert found.probabilities.tolist() == [[0.75, 0.25], [0.125, 0.875], [1, 0]]
    assert found.probabilities.dtype == np.float32
    assert found.declined == ["", "", ""]


def test_each_view_must_be_confident() -> None:
    rows = np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.6, 0.4]], np.float32)
    found = combine_views([views(2), views(2)], rows, 0.5)
    assert found.declined == ["low confidence (40%)", ""]


def test_pictures_are_declined_below_the_least_confidence_or_in_doubt() -> None:
    rows = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.7, 0.3]], np.float32)
    found = combine_views([views(1), views(1, "two of them"), views(1), views(1)], rows, 0.75)
    assert found.declined == ["", "two of them", "low confidence (50%)", "low confidence (70%)"]
    assert combine_views([views(1)] * 4, rows, 0).declined == [""] * 4, "0 declines none"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_must_be_finite(value: float) -> None:
    rows = np.array([[0.75, 0.25], [value, 0]], np.float32)
    with pytest.raises(PredictionError, match="not finite"):
        combine_views([views(1), views(1)], rows, 0.5)


def test_no_pictures_have_no_predictions() -> None:
    found = combine_views([], np.zeros((0, 3), np.float32), 0.5)
    assert (found.probabilities.shape, found.declined) == ((0, 3), [])


@pytest.mark.parametrize(
    "path", ["os.system", "models.pictures.nothing", "models.nowhere.f", "models", "models..os.f"]
)
def test_missing_function_or_one_outside_models_is_rejected(path: str) -> None:
    with pytest.raises(ImportError):
        find_preprocessing(path)


def test_preprocessing_of_the_definition_exists() -> None:
    if DATASET.picture_preprocessing:
        assert callable(find_preprocessing(DATASET.picture_preprocessing))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_usual_formats_are_read(kind: str) -> None:
    picture = open_picture(encoded(Image.new("RGB", (40, 30), (200, 30, 30)), kind))
    assert (picture.mode, picture.size) == ("RGB", (40, 30))
    assert np.abs(np.asarray(picture).astype(int) - (200, 30, 30)).max() < 6


GRADIENT = Image.linear_gradient("L")


@pytest.mark.parametrize(
    "variant",
    [
        lambda: GRADIENT,
        lambda: GRADIENT.convert("RGB"),
        lambda: GRADIENT.convert("P"),
        lambda: GRADIENT.convert("CMYK"),
        lambda: GRADIENT.convert("I"),
        lambda: GRADIENT.convert("LA"),
        lambda: Image.fromarray(np.asarray(GRADIENT).astype(np.uint16) * 257),
        lambda: Image.fromarray(np.asarray(GRADIENT).astype(np.float32) / 255),
    ],
    ids=["gray", "color", "palette", "print", "32 bit", "opaque alpha", "16 bit", "float"],
)
def test_any_mode_is_read(variant: Callable[[], Image.Image]) -> None:
    picture = open_picture(encoded(variant(), "TIFF"))
    assert picture.mode in ("L", "RGB", "RGBA")
    image = resize_with_padding(picture, (256, 256, 1))[..., 0]
    assert np.abs(image.astype(int) - np.asarray(GRADIENT)).max() <= 1


def test_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Rotated by 90 degrees, as by a camera held upright.
    turned = GRADIENT.transpose(Image.Transpose.ROTATE_90)
    upright = open_picture(encoded(turned, "JPEG", exif=exif, quality=95))
    assert np.abs(np.asarray(upright).astype(int) - np.asarray(GRADIENT)).max() < 5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Expected a picture, received an empty file"),
        (b"hello", "received 5 bytes in another format: convert the file to PNG"),
        (encoded(noise((90, 90)))[:-200], "Expected a complete PNG picture, received one that"),
        (encoded(noise((90, 90)), "JPEG")[:900], "Expected a complete JPEG picture"),
    ],
    ids=["empty", "text", "truncated PNG", "truncated JPEG"],
)
def test_invalid_picture_is_rejected_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        open_picture(data)
    assert "\n" not in str(caught.value)


def test_large_file_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 2**20)
    with pytest.raises(PictureError, match=r"at most 1 MiB, received 2\.0 MiB: make it smaller"):
        open_picture(bytes(2 * 2**20))


def test_huge_picture_is_rejected_before_decoding() -> None:
    bomb = encoded(Image.new("1", (30_000, 30_000)))
    assert len(bomb) < 200_000
    with pytest.raises(PictureError, match="at most 50 megapixels, received"):
        open_picture(bomb)
    side = math.isqrt(pictures.MAX_PIXELS)
    with pytest.raises(PictureError, match=f"received {side + 1} x {side}: make it smaller"):
        open_picture(encoded(Image.new("1", (side + 1, side))))
