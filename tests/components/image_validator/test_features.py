import numpy as np
import pytest

from components.image_validator.features import describe, distance, grid_shape

RNG = np.random.default_rng(0)


def cells_of(image: np.ndarray) -> np.ndarray:
    rows, columns, channels = grid_shape(image.shape)
    return describe(image[np.newaxis])[0, : rows * columns * channels].reshape(
        rows, columns, channels
    )


@pytest.mark.parametrize(
    ("shape", "grid"), [((28, 28, 1), (7, 7, 1)), ((32, 20, 3), (7, 7, 3)), ((5, 9, 1), (5, 7, 1))]
)
def test_cells_are_mean_values_of_the_image_s_parts(
    shape: tuple[int, int, int], grid: tuple[int, int, int]
) -> None:
    image = RNG.integers(0, 256, shape).astype(np.uint8)
    cells = cells_of(image)
    assert cells.shape == grid
    assert cells[0, 0] == pytest.approx(
        image[: shape[0] // grid[0], : shape[1] // grid[1]].mean(axis=(0, 1)) / 255
    )
    tops = [n * shape[0] // grid[0] for n in range(grid[0])]
    lefts = [n * shape[1] // grid[1] for n in range(grid[1])]
    assert cells[-1, -1] == pytest.approx(image[tops[-1] :, lefts[-1] :].mean(axis=(0, 1)) / 255)


def test_channels_are_separate() -> None:
    image = np.zeros((14, 14, 3), np.uint8)
    image[..., 2] = 255
    assert (cells_of(image) == [0, 0, 1]).all()


@pytest.mark.parametrize(
    ("row", "gradient", "curvature"),
    [
        ([0, 255, 0, 255], 1 / 2, 1 / 2),  # The largest differences, in one of two directions.
        ([0, 85, 170, 255], 1 / 6, 0),
        ([255, 255, 255, 255], 0, 0),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_texture_is_the_mean_difference_of_adjacent_pixels(
    row: list[int], gradient: float, curvature: float, axis: int
) -> None:
    image = np.array([row] * 4, np.uint8)
    image = (image if axis else image.T)[np.newaxis, ..., np.newaxis]
    assert describe(image)[0, -2:] == pytest.approx([gradient, curvature])


def test_images_of_one_pixel_have_no_texture() -> None:
    assert describe(np.full((2, 1, 1, 1), 255, np.uint8)).tolist() == [[1, 0, 0]] * 2


def test_distance_is_the_root_mean_square_of_standardized_deviations() -> None:
    cells = np.array([[0.5, 0.5], [0.8, 0.5], [0.5, 0.1]])
    found = distance(cells, np.array([0.5, 0.5]), np.array([0.1, 0.2]))
    assert found == pytest.approx([0, 3 / 2**0.5, 2 / 2**0.5])
