"""Pictures of any image shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.report_inputs import write_augmented_sheet

from components.report.pictures import LONGEST_SIDE, to_picture, write_augmented, write_classes


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_picture_has_the_values_of_the_image(channels: int, mode: str) -> None:
    image = np.arange(5 * 7 * channels, dtype=np.uint8).reshape(5, 7, channels)
    picture = to_picture(image)
    assert (picture.mode, picture.size) == (mode, (7, 5))
    np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


def test_large_image_is_scaled_down_proportionally() -> None:
    picture = to_picture(np.zeros((224, 448, 3), np.uint8))
    assert picture.size == (LONGEST_SIDE, LONGEST_SIDE // 2)


def test_row_of_a_class_keeps_its_width_with_fewer_images(tmp_path: Path) -> None:
    image = np.full((4, 6, 1), 200, np.uint8)
    names = write_classes({0: [image], 12: [image] * 3}, 3, tmp_path)
    assert names == {0: "class-0.png", 12: "class-12.png"}
    for label, filled in ((0, 1), (12, 3)):
        row = np.asarray(Image.open(tmp_path / names[label]))
        assert row.shape == (4, 18, 4)
        assert (row[..., 3].sum(axis=0) > 0).sum() == 6 * filled
        assert (row[0, 0] == [200, 200, 200, 255]).all()


@pytest.mark.parametrize(("channels", "shade"), [(1, (30, 30, 30)), (3, (30, 0, 0))])
def test_original_images_are_apart_from_their_variants(
    channels: int, shade: tuple[int, int, int], tmp_path: Path
) -> None:
    shape = (6, 8, channels)
    write_augmented_sheet(tmp_path / "sheet.png", shape, rows=3, columns=5)
    name = write_augmented(tmp_path / "sheet.png", shape, tmp_path / "report")
    pixels = np.asarray(Image.open(tmp_path / "report" / name))
    assert pixels.shape == (18, 42, 4)
    assert tuple(pixels[5, 7]) == (*shade, 255)
    assert (pixels[..., 3].min(axis=0) == [255] * 8 + [0] * 2 + [255] * 32).all()
    assert pixels[5, 10 + 7, 0] == 59


def test_large_augmented_images_are_scaled_down(tmp_path: Path) -> None:
    shape = (256, 512, 3)
    write_augmented_sheet(tmp_path / "sheet.png", shape, rows=2, columns=3)
    name = write_augmented(tmp_path / "sheet.png", shape, tmp_path)
    with Image.open(tmp_path / name) as picture:
        assert picture.size == (3 * LONGEST_SIDE + LONGEST_SIDE // 4, LONGEST_SIDE)


def test_rows_of_many_classes_of_large_images_stay_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (224, 224, 3), np.uint8) for _ in range(10)]
    write_classes(dict.fromkeys(range(100), noise), 10, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 10_000_000
