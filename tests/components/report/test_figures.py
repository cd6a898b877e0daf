"""Plots of any number of classes, whatever their names are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.report.content import Training
from components.report.figures import (
    LIGHT,
    draw_confusion,
    draw_distribution,
    draw_training,
)


def names(size: int) -> list[str]:
    """Long ones, which mathtext could not parse."""
    return [f"$\\frac no. {label} < x & y" for label in range(size)]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("size", [2, 10, 40])
def test_confusion_matrix_fits_its_page(tmp_path: Path, size: int) -> None:
    matrix = np.full((size, size), 1) + np.eye(size, dtype=int) * 98
    figure = draw_confusion(matrix.tolist(), names(size), tmp_path)["confusion"]
    assert figure.width <= 922
    wrong = size * (size - 1)
    assert f"{99 * size} correct and {wrong} wrong" in figure.alt
    assert "the most common mistake is $\\frac no. 1 < x & y for $\\frac no. 0" in figure.alt
    for file in (figure.light, figure.dark):
        height, width, _ = pixels(tmp_path / file).shape
        assert (height / 2, width / 2) == pytest.approx((figure.height, figure.width), abs=1)


def test_matrix_without_mistakes_has_none_in_its_description(tmp_path: Path) -> None:
    figure = draw_confusion([[5, 0], [0, 5]], names(2), tmp_path)["confusion"]
    assert figure.alt == "Confusion matrix: 10 correct and 0 wrong."


def test_numbers_that_do_not_fit_are_left_out_for_a_scale(tmp_path: Path) -> None:
    short = [str(label) for label in range(40)]
    small, large = np.eye(40, dtype=int), np.eye(40, dtype=int) * 123456
    for matrix, directory in ((small, "small"), (large, "large")):
        draw_confusion(matrix.tolist(), short, tmp_path / directory)
    shown = [pixels(tmp_path / name / "confusion-light.png") for name in ("small", "large")]
    # Without mistakes, only the scale has their color.
    scales = [(image == [*bytes.fromhex(LIGHT.mistake[1:]), 255]).all(axis=2) for image in shown]
    assert [scale.any() for scale in scales] == [False, True]


@pytest.mark.parametrize("size", [2, 40])
def test_distribution_has_every_class(tmp_path: Path, size: int) -> None:
    counts = {"train": {0: 3, size - 1: 1}, "test": {}}
    figure = draw_distribution(counts, names(size), tmp_path)["distribution"]
    assert figure.alt == "Share of each class in the examples of train, test."
    assert (tmp_path / figure.dark).is_file()


def test_metrics_are_drawn_in_pairs_of_training_and_validation(tmp_path: Path) -> None:
    epochs = ({"epoch": 1, "f1": 0.5, "val_f1": None, "val_only": 2, "loss": 1}, {"epoch": 2})
    training = Training.model_validate({"best_epoch": 1, "epochs": epochs})
    assert list(draw_training(training, tmp_path)) == ["loss", "f1", "only"]
