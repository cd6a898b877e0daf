"""Writes the model's input images as PNG files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.report.content import Prediction
from components.report.predictions import Classified
from models.progress import AUGMENTED_FILE

LONGEST_SIDE = 128
"""Longest side of a written image, in pixels. Limits the size of the page, which embeds them."""

_ROW_PIXELS = 2_000_000
"""Total number of pixels in the rows of all classes, to limit the size of the page."""

Image8 = npt.NDArray[np.uint8]


def write_classes(
    images: Mapping[int, Sequence[Image8]], columns: int, directory: Path
) -> dict[int, str]:
    """Writes one row of images for each class.

    Args:
      images: images, by label; at most `columns` per label.
      columns: number of images per row; missing images are transparent.
      directory: target directory.

    Returns:
      File names, by label.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = {}
    side = min(LONGEST_SIDE, max(28, math.isqrt(_ROW_PIXELS // (columns * len(images) or 1))))
    for label, of_class in images.items():
        pictures = [to_picture(image, side) for image in of_class]
        width, height = pictures[0].size
        row = Image.new("RGBA", (columns * width, height))
        for column, picture in enumerate(pictures):
            row.paste(picture, (column * width, 0))
        names[label] = f"class-{label}.png"
        row.save(directory / names[label], optimize=True)
    return names


def write_augmented(sheet: Path, image_shape: tuple[int, int, int], directory: Path) -> str:
    """Writes the Trainer's sheet of augmented images, with a gap after the original images.

    Args:
      sheet: PNG file with rows of images of equal size; the first image of a row is the original.
      image_shape: height, width and channels of an image.
      directory: target directory.

    Returns:
      File name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    height, width, _ = image_shape
    with Image.open(sheet) as picture:
        columns, rows = picture.width // width, picture.height // height
        picture.thumbnail((columns * LONGEST_SIDE, rows * LONGEST_SIDE))
        first, gap = picture.width // columns, picture.width // columns // 4
        spread = Image.new("RGBA", (picture.width + gap, picture.height))
        spread.paste(picture.crop((0, 0, first, picture.height)), (0, 0))
        spread.paste(picture.crop((first, 0, *picture.size)), (first + gap, 0))
    spread.save(directory / AUGMENTED_FILE, optimize=True)
    return AUGMENTED_FILE


def write_predictions(
    examples: Sequence[Classified], kind: str, directory: Path
) -> tuple[Prediction, ...]:
    """Writes the images of examples and returns their predictions.

    Args:
      examples: examples with the model's predictions.
      kind: prefix of the file names.
      directory: target directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    predictions = []
    for number, example in enumerate(examples, 1):
        name = f"{kind}-{number:02}.png"
        to_picture(example.image).save(directory / name, optimize=True)
        predictions.append(_prediction(example, name))
    return tuple(predictions)


def to_picture(image: Image8, side: int = LONGEST_SIDE) -> Image.Image:
    """Converts uint8 of shape (height, width, 1 or 3) to a picture, scaled down to `side`."""
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    picture.thumbnail((side, side))
    return picture


def _prediction(example: Classified, picture: str) -> Prediction:
    predicted = example.predicted
    order = np.argsort(-example.probabilities, kind="stable")
    valid = predicted is not None
    return Prediction(
        index=example.index,
        label=example.label,
        predicted=predicted,
        confidence=float(example.probabilities[order[0]]) if valid else None,
        second=int(order[1]) if valid else None,
        second_confidence=float(example.probabilities[order[1]]) if valid else None,
        picture=picture,
    )
