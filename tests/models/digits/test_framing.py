from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.digit_photos import DIGITS, OTHERS, draw_all

from models.digits.framing import BOX_SIDE, to_mnist
from models.digits.sample import load as load_sample
from models.pictures import PictureError, open_picture

HARD = ("underlined", "paper on a desk", "frame", "ruled paper", "squared paper", "grain")
"""Kinds of pictures with ink outside the digit."""

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.8)]


def drawing(width: int = 40, size: tuple[int, int] = (400, 400)) -> Image.Image:
    """A white 7 on black."""
    image = Image.new("L", size)
    points = [(x * size[0], y * size[1]) for x, y in SEVEN]
    ImageDraw.Draw(image).line(points, fill=255, width=width, joint="curve")
    return image


def photo(light: float, slope: float, noise: float) -> Image.Image:
    """Dark ink on unevenly lit paper."""
    ink = np.asarray(drawing(16)) / 255
    paper = light + slope * np.linspace(-0.5, 0.5, ink.shape[1])
    grain = np.random.default_rng(0).normal(0, noise, ink.shape)
    return Image.fromarray(np.clip(paper * (1 - ink) + 25 * ink + grain, 0, 255).astype(np.uint8))


def reopened(image: Image.Image) -> Image.Image:
    """Saves the picture in a format that supports any mode, and reads it again."""
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    return open_picture(buffer.getvalue())


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the correlation of pixels: 1 for identical images."""
    return float(np.corrcoef(one.ravel().astype(float), other.ravel().astype(float))[0, 1])


def framed(picture: Image.Image) -> np.ndarray:
    """Returns the model's input, shape (28, 28, 1)."""
    return to_mnist(picture).views[0]


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """One image of each of MNIST's ten classes, uint8 (10, 28, 28)."""
    images, _ = load_sample()
    return images[:10, ..., 0]


def test_form_is_that_of_mnist() -> None:
    image = framed(drawing())
    assert image.shape == (28, 28, 1)
    assert image.dtype == np.uint8
    rows, columns, _ = np.nonzero(image)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == BOX_SIDE
    assert image.max() == 255
    weights = image[..., 0].astype(float)
    for axis in (0, 1):
        mass = weights.sum(axis=1 - axis)
        assert abs((mass * (np.arange(28) + 0.5)).sum() / mass.sum() - 14) <= 0.5


def test_mnist_digits_keep_their_pixels(digits: np.ndarray) -> None:
    for digit in digits:
        assert np.array_equal(framed(Image.fromarray(digit))[..., 0], digit)


@pytest.mark.parametrize(
    "change",
    [lambda digit: 255 - digit, lambda digit: np.roll(digit, 3, axis=0), lambda digit: digit // 3],
    ids=["inverted", "not centered", "faint"],
)
def test_digits_nearly_in_form_are_converted(
    digits: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    images = [framed(Image.fromarray(change(digit))) for digit in digits]
    likenesses = [likeness(image, digit) for image, digit in zip(images, digits, strict=True)]
    assert np.median(likenesses) > 0.75
    assert all(image.max() == 255 and image[0, 0, 0] == 0 for image in images)


def test_aspect_ratio_is_preserved() -> None:
    stretched = framed(drawing(size=(400, 800)))
    rows, columns, _ = np.nonzero(stretched)
    assert np.ptp(rows) + 1 == BOX_SIDE
    assert np.ptp(columns) + 1 < 0.5 * BOX_SIDE


@pytest.mark.parametrize(
    "variant",
    [
        lambda: Image.fromarray(255 - np.asarray(drawing())),
        lambda: drawing().resize((1500, 1500)),
        lambda: drawing().resize((60, 60)),
        lambda: drawing().convert("RGB"),
        lambda: drawing().convert("P"),
        lambda: drawing().convert("1"),
        lambda: drawing().convert("CMYK"),
        lambda: drawing().convert("I"),
        lambda: Image.fromarray(np.asarray(drawing()).astype(np.uint16) * 257),
        lambda: Image.fromarray(np.asarray(drawing()).astype(np.float32) / 255),
        lambda: Image.merge("RGBA", [Image.new("L", (400, 400), 0)] * 3 + [drawing()]),
        lambda: Image.merge("RGBA", [Image.new("L", (400, 400), 255)] * 3 + [drawing()]),
        lambda: Image.merge("LA", [Image.new("L", (400, 400), 30), drawing()]),
        lambda: Image.eval(drawing(), lambda pixel: 90 + pixel // 4),
    ],
    ids=[
        *["dark on light", "large", "small", "color", "palette", "one bit", "print", "32 bit"],
        *["16 bit", "float", "black on clear", "white on clear", "gray on clear", "faint"],
    ],
)
def test_variants_of_a_drawing_have_the_same_result(variant: Callable[[], Image.Image]) -> None:
    assert likeness(framed(reopened(variant())), framed(drawing())) > 0.94


@pytest.mark.parametrize(
    ("light", "slope", "noise"), [(230, 0, 0), (170, 120, 0), (200, 0, 12), (150, 90, 6)]
)
def test_photo_is_cleaned(light: float, slope: float, noise: float) -> None:
    image = framed(photo(light, slope, noise))
    assert likeness(image, framed(drawing(16))) > 0.93
    assert np.median(image) == 0


def test_shadow_is_not_ink() -> None:
    paper = np.full((400, 400), 220.0)
    paper[:, 300:] = 120
    ink = np.asarray(drawing(16)) / 255
    image = framed(Image.fromarray((paper * (1 - ink) + 25 * ink).astype(np.uint8)))
    assert likeness(image, framed(drawing(16))) > 0.93


def test_specks_are_ignored() -> None:
    image = drawing(16)
    draw = ImageDraw.Draw(image)
    for x, y in [(8, 8), (390, 20), (30, 380), (385, 390)]:
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=255)
    assert likeness(framed(image), framed(drawing(16))) > 0.98


def test_parts_that_do_not_touch_belong_to_the_digit() -> None:
    image = drawing(16)
    ImageDraw.Draw(image).line((140, 200, 180, 200), fill=255, width=16)
    whole = framed(drawing(16))
    assert likeness(framed(image), whole) < 0.98


def test_digit_that_fills_its_picture_is_kept() -> None:
    image = drawing(40)
    assert likeness(framed(image.crop(image.getbbox())), framed(image)) > 0.97


def test_thin_lines_stay_visible() -> None:
    assert (framed(drawing(2, (1000, 1000))) > 64).sum() > 20


def test_digit_with_its_mass_at_one_end_is_not_cropped() -> None:
    image = Image.new("L", (400, 400))
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 190, 340, 200), fill=255)
    draw.rectangle((60, 120, 100, 280), fill=255)
    _, columns, _ = np.nonzero(framed(image))
    assert np.ptp(columns) + 1 == BOX_SIDE


@pytest.mark.parametrize("gray", [0, 128, 255])
def test_picture_without_ink_is_rejected(gray: int) -> None:
    with pytest.raises(PictureError, match=r"^No digit found in the picture: draw or photo"):
        to_mnist(Image.new("L", (100, 100), gray))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_tiny_pictures_are_framed_or_rejected(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, size[::-1]).astype(np.uint8)
    try:
        assert framed(Image.fromarray(pixels)).shape == (28, 28, 1)
    except PictureError as error:
        assert "No digit" in str(error)  # noqa: PT017 - both outcomes are valid


@pytest.mark.parametrize("kind", HARD)
def test_only_the_digit_is_left(digits: np.ndarray, kind: str) -> None:
    """The framed picture resembles that of the same digit on plain paper."""
    images = np.concatenate([digits, digits[:1]])
    plain = [framed(picture) for picture in draw_all(DIGITS["scan"], images, 10, 3)]
    hard = [framed(picture) for picture in draw_all(DIGITS[kind], images, 10, 3)]
    likenesses = [likeness(one, other) for one, other in zip(plain, hard, strict=True)]
    assert np.sum(np.array(likenesses) > 0.75) >= 9, likenesses


@pytest.mark.parametrize("kind", DIGITS)
def test_most_digits_raise_no_doubt(digits: np.ndarray, kind: str) -> None:
    images = np.concatenate([digits, digits[:1]])
    doubts = [to_mnist(picture).doubt for picture in draw_all(DIGITS[kind], images, 10, 3)]
    assert doubts.count("") >= 7, doubts


@pytest.mark.parametrize(
    ("kind", "doubt"),
    [
        ("two digits apart", "more than one digit"),
        ("two digits close", "more than one digit"),
        ("word or number", "more than one digit"),
        ("dot", "a spot instead of strokes"),
        ("scribble", "more loops than a digit has"),
        ("line", "unlike any handwritten digit"),
        ("letter", "unlike any handwritten digit"),
    ],
)
def test_other_shapes_raise_a_doubt(digits: np.ndarray, kind: str, doubt: str) -> None:
    images = np.concatenate([digits, digits[:1]])
    doubts = [to_mnist(picture).doubt for picture in draw_all(OTHERS[kind], images, 10, 3)]
    assert doubts.count("") <= 2, doubts
    assert doubt in doubts


def doubt_or_error(picture: Image.Image) -> str:
    try:
        return to_mnist(picture).doubt
    except PictureError as error:
        return str(error)


def test_empty_paper_is_nearly_always_rejected(digits: np.ndarray) -> None:
    found = [doubt_or_error(picture) for picture in draw_all(OTHERS["blank"], digits, 9, 3)]
    assert sum(reason.startswith("No digit found") for reason in found) >= 5
    assert found.count("") <= 1, found


def test_images_of_mnist_raise_no_doubt(digits: np.ndarray) -> None:
    assert {to_mnist(Image.fromarray(digit)).doubt for digit in digits} == {""}


def test_thousands_of_dots_are_framed_in_seconds() -> None:
    dots = np.zeros((512, 512), np.uint8)
    dots[::3, ::3] = 255
    began = time.process_time()
    prepared = to_mnist(Image.fromarray(dots))
    assert time.process_time() - began < 10
    assert prepared.doubt == "more than one digit"
    assert (prepared.views.max(axis=(1, 2, 3)) == 255).all()
