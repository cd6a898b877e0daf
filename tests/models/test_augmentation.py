"""Random affine transformations: their limits, their dependence on the seed, and the sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.augmentation import augment, augments, write_samples
from models.hyperparameters import Hyperparameters

_HEIGHT, _WIDTH, _CHANNELS, _COUNT = 41, 31, 3, 64
_CENTER = (20, 15)


def _parameters(**amounts: float) -> Hyperparameters:
    return Hyperparameters(**{"recipe": "notebook", **amounts})


def _augment(points: list[tuple[int, int]], seed: int = 1, **amounts: float) -> np.ndarray:
    """Augments images with 3 x 3 white squares around points, in a different color each.

    Returns:
      Row and column of the center of each square, (images, points, 2).
    """
    images = np.zeros((_COUNT, _HEIGHT, _WIDTH, _CHANNELS), np.float32)
    for channel, (row, column) in enumerate(points):
        images[:, row - 1 : row + 2, column - 1 : column + 2, channel] = 1
    result = augment(tf.constant(images), _parameters(**amounts), (seed, 0)).numpy()
    assert result.shape == images.shape
    assert (result >= 0).all()
    assert (result <= 1).all()
    grid = np.moveaxis(np.indices((_HEIGHT, _WIDTH)), 0, -1)
    mass = result[..., : len(points)].sum(axis=(1, 2))
    return np.einsum("nrcp,rcx->npx", result[..., : len(points)], grid) / mass[..., None]


def _amounts(limit: float, values: np.ndarray) -> None:
    """Checks that the values reach most of the range within the limit, in both directions."""
    assert np.abs(values).max() <= limit * 1.02
    assert values.max() > limit * 0.7
    assert values.min() < -limit * 0.7


def test_rotation_is_limited_around_the_center() -> None:
    center, right = np.moveaxis(_augment([_CENTER, (20, 25)], rotation=20), 1, 0)
    np.testing.assert_allclose(center, [_CENTER] * _COUNT, atol=0.05)
    offset = right - center
    np.testing.assert_allclose(np.hypot(*offset.T), 10, atol=0.1)
    _amounts(20, np.degrees(np.arctan2(offset[:, 0], offset[:, 1])))


def test_shift_is_a_share_of_height_and_width() -> None:
    (shifts,) = np.moveaxis(_augment([_CENTER], shift=0.2) - _CENTER, 1, 0)
    _amounts(0.2 * _HEIGHT, shifts[:, 0])
    _amounts(0.2 * _WIDTH, shifts[:, 1])
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.5


def test_zoom_changes_height_and_width_independently() -> None:
    center, below, right = np.moveaxis(
        _augment([_CENTER, (30, 15), (20, 25)], zoom=0.2) - _CENTER, 1, 0
    )
    np.testing.assert_allclose(center, 0, atol=0.05)
    _amounts(2, below[:, 0] - 10)
    _amounts(2, right[:, 1] - 10)
    assert abs(np.corrcoef(below[:, 0], right[:, 1])[0, 1]) < 0.5


def test_shear_moves_rows_sideways() -> None:
    below, right = np.moveaxis(_augment([(30, 15), (20, 25)], shear=0.3) - _CENTER, 1, 0)
    np.testing.assert_allclose(below[:, 0], 10, atol=0.1)
    _amounts(3, below[:, 1])
    np.testing.assert_allclose(right, [(0, 10)] * _COUNT, atol=0.1)


def test_images_depend_only_on_the_seed() -> None:
    first, again, other = (_augment([_CENTER], seed, shift=0.2) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == _COUNT


@pytest.mark.parametrize("amount", ["rotation", "zoom", "shift", "shear"])
def test_each_amount_turns_augmentation_on(amount: str) -> None:
    assert not augments(_parameters())
    assert augments(_parameters(**{amount: 0.1}))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_sheet_has_a_row_for_each_image(tmp_path: Path, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 5, channels)) / np.float32(255)
    file = tmp_path / "new" / "sheet.png"
    write_samples(tf.constant(images, tf.float32), _parameters(shift=0.2), file)
    sheet: Any = tf.io.decode_png(tf.io.read_file(str(file))).numpy()
    assert sheet.shape == (2 * 9, 8 * 5, channels)
    np.testing.assert_array_equal(sheet[:, :5], np.round(255 * images).reshape(18, 5, channels))
    assert not np.array_equal(sheet[:, 5:10], sheet[:, :5])
