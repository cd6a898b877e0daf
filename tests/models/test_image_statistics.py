from typing import get_args

import numpy as np
import pytest
from support.tfds_directory import synthetic_examples

from models.dataset_definition import StatisticName
from models.definition import DATASET
from models.features import IMAGE_SHAPE
from models.image_statistics import STATISTICS, describe_images

# Three rows of four pixels: ten on the border, two inside.
GRAY = np.array([[[255, 0, 0, 128], [0, 200, 127, 0], [51, 0, 0, 0]]], np.uint8)[..., np.newaxis]
COLOR = np.zeros((1, 3, 4, 3), np.uint8)
COLOR[0, 0, 0] = 255, 0, 51
COLOR[0, 1, 1] = 0, 128, 255
COLOR[0, 2, 3] = 102, 102, 102


def value(name: StatisticName, images: np.ndarray) -> float:
    (result,) = STATISTICS[name](images)
    return float(result)


def _deviation(squares: int, total: int, count: int) -> float:
    return float((squares / count - (total / count) ** 2) ** 0.5)


@pytest.mark.parametrize(
    ("name", "of_gray", "of_color"),
    [
        # The sums of the values are 761 and 995; the sums of their squares, 140139 and 180247.
        ("mean_intensity", 761 / (12 * 255), 995 / (36 * 255)),
        ("contrast", _deviation(140139, 761, 12) / 127.5, _deviation(180247, 995, 36) / 127.5),
        ("bright_fraction", 3 / 12, 3 / 36),
        ("border_bright_fraction", 2 / 10, 1 / 30),
        # Highest minus lowest channel: 255, 255 and 0 for the three colored pixels of twelve.
        ("colorfulness", 0, 510 / (12 * 255)),
    ],
)
def test_values_match_manual_calculations(
    name: StatisticName, of_gray: float, of_color: float
) -> None:
    assert value(name, GRAY) == pytest.approx(of_gray)
    assert value(name, COLOR) == pytest.approx(of_color)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, {"mean_intensity": 0, "bright_fraction": 0, "border_bright_fraction": 0}),
        (127, {"mean_intensity": 127 / 255, "bright_fraction": 0, "border_bright_fraction": 0}),
        (128, {"mean_intensity": 128 / 255, "bright_fraction": 1, "border_bright_fraction": 1}),
        (255, {"mean_intensity": 1, "bright_fraction": 1, "border_bright_fraction": 1}),
    ],
)
def test_a_uniform_gray_image_has_no_contrast_and_no_color(
    level: int, expected: dict[str, float], channels: int
) -> None:
    image = np.full((1, 6, 5, channels), level, np.uint8)
    values = {name: float(function(image)[0]) for name, function in STATISTICS.items()}
    assert values == {**expected, "contrast": 0, "colorfulness": 0}


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_is_highest_for_half_black_and_half_white(channels: int) -> None:
    image = np.zeros((1, 4, 6, channels), np.uint8)
    image[:, :2] = 255
    assert value("contrast", image) == 1


@pytest.mark.parametrize("channel", range(3))
def test_each_channel_counts(channel: int) -> None:
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[..., channel] = 255
    values = {name: float(function(image)[0]) for name, function in STATISTICS.items()}
    assert values == {
        "mean_intensity": pytest.approx(1 / 3),
        "contrast": pytest.approx(2 * 2**0.5 / 3),
        "bright_fraction": pytest.approx(1 / 3),
        "border_bright_fraction": pytest.approx(1 / 3),
        "colorfulness": 1,
    }


@pytest.mark.parametrize("position", [(0, 3), (5, 3), (3, 0), (3, 6), (0, 0), (5, 6)])
def test_each_corner_counts_once_in_the_border(position: tuple[int, int]) -> None:
    image = np.zeros((1, 6, 7, 1), np.uint8)
    image[0][position] = 255
    assert value("border_bright_fraction", image) == pytest.approx(1 / 22)


@pytest.mark.parametrize("position", [(1, 1), (4, 5), (3, 3)])
def test_inner_pixels_are_not_part_of_the_border(position: tuple[int, int]) -> None:
    image = np.zeros((1, 6, 7, 1), np.uint8)
    image[0][position] = 255
    assert value("border_bright_fraction", image) == 0


def test_each_statistic_has_a_function() -> None:
    assert set(STATISTICS) == set(get_args(StatisticName))


def test_statistics_of_the_data_definition_are_computed() -> None:
    images, _ = synthetic_examples(1)
    described = describe_images(images)
    assert tuple(described) == DATASET.image_statistics
    for name in DATASET.image_statistics:
        expected = STATISTICS[name](images).astype(np.float32)
        np.testing.assert_array_equal(described[name], expected)


@pytest.mark.parametrize("name", get_args(StatisticName))
def test_images_in_a_batch_are_independent(name: StatisticName) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3)).astype(np.uint8)
    one_by_one = [value(name, images[row : row + 1]) for row in range(5)]
    assert STATISTICS[name](images).tolist() == one_by_one


def test_values_are_float32_and_a_batch_may_be_empty() -> None:
    described = describe_images(np.zeros((0, *IMAGE_SHAPE), np.uint8))
    assert {(values.dtype.name, values.shape) for values in described.values()} == {
        ("float32", (0,))
    }


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, IMAGE_SHAPE[0] + 1, *IMAGE_SHAPE[1:]), "uint8"),
        ((1, *IMAGE_SHAPE[:2], 2), "uint8"),
        (IMAGE_SHAPE, "uint8"),
        ((1, *IMAGE_SHAPE), "float32"),
    ],
)
def test_images_with_another_shape_or_dtype_are_rejected(
    shape: tuple[int, ...], dtype: str
) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 of shape \(n, .*, received ") as caught:
        describe_images(np.zeros(shape, dtype))
    assert str(caught.value).endswith(f"received {dtype} of shape {shape}")
