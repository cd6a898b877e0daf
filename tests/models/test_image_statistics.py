import numpy as np
import pytest
from support.tfds_directory import real_digits

from models.definition import DATASET
from models.image_statistics import describe_images


def describe(image: np.ndarray) -> tuple[float, float, float]:
    scalars = describe_images(image.astype(np.uint8).reshape(1, 28, 28, 1))
    assert {values.shape for values in scalars.values()} == {(1,)}
    mean, bright, border = (scalars[name].item() for name in DATASET.image_statistics)
    return mean, bright, border


def test_a_blank_image_has_no_ink() -> None:
    assert describe(np.zeros((28, 28))) == (0, 0, 0)


def test_a_white_image_is_all_ink() -> None:
    assert describe(np.full((28, 28), 255)) == (1, 1, 1)


@pytest.mark.parametrize(("level", "inked"), [(127, 0), (128, 1)])
def test_ink_starts_at_half_intensity(level: int, inked: int) -> None:
    assert describe(np.full((28, 28), level)) == (float(np.float32(level / 255)), inked, inked)


@pytest.mark.parametrize("place", [(0, 5), (27, 5), (5, 0), (5, 27), (0, 0), (27, 27)])
def test_the_border_is_the_outermost_ring_with_each_corner_once(place: tuple[int, int]) -> None:
    image = np.zeros((28, 28))
    image[place] = 255
    assert describe(image) == pytest.approx((1 / 784, 1 / 784, 1 / 108))


@pytest.mark.parametrize("place", [(1, 1), (26, 26), (14, 14)])
def test_the_inside_is_no_border(place: tuple[int, int]) -> None:
    image = np.zeros((28, 28))
    image[place] = 255
    assert describe(image)[2] == 0


def test_a_batch_is_described_image_by_image() -> None:
    images, _ = real_digits(2)
    together = describe_images(images)
    for row, image in enumerate(images):
        alone = describe(image)
        assert tuple(float(values[row]) for values in together.values()) == alone


def test_scalars_are_float32_and_a_batch_may_be_empty() -> None:
    scalars = describe_images(np.zeros((0, 28, 28, 1), np.uint8))
    assert {(values.dtype.name, values.shape) for values in scalars.values()} == {("float32", (0,))}


@pytest.mark.parametrize(
    ("shape", "dtype", "received"),
    [
        ((1, 20, 20, 1), "uint8", r"uint8 of shape \(1, 20, 20, 1\)"),
        ((1, 28, 28, 3), "uint8", r"uint8 of shape \(1, 28, 28, 3\)"),
        ((28, 28, 1), "uint8", r"uint8 of shape \(28, 28, 1\)"),
        ((1, 28, 28, 1), "float32", r"float32 of shape \(1, 28, 28, 1\)"),
    ],
)
def test_other_images_are_refused(shape: tuple[int, ...], dtype: str, received: str) -> None:
    with pytest.raises(ValueError, match=rf"uint8 of shape \(n, 28, 28, 1\), received {received}"):
        describe_images(np.zeros(shape, dtype))
