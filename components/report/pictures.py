"""Writes images of digits as PNG files, as the model sees them: ink bright on dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.report.content import Answer
from components.report.predictions import Shown

Image8 = npt.NDArray[np.uint8]


def write_classes(images: Mapping[int, Sequence[Image8]], directory: Path) -> dict[int, str]:
    """Writes the images of each digit beside one another; returns the files' names by digit."""
    names = {}
    for digit, of_digit in images.items():
        names[digit] = f"class-{digit}.png"
        _write(np.hstack(list(of_digit)), directory / names[digit])
    return names


def write_answers(shown: Sequence[Shown], kind: str, directory: Path) -> tuple[Answer, ...]:
    """Writes the images of some examples, and says what the model answered.

    Args:
      shown: the examples.
      kind: begins the files' names.
      directory: for the files.
    """
    answers = []
    for number, example in enumerate(shown, 1):
        name = f"{kind}-{number:02}.png"
        _write(example.image, directory / name)
        answers.append(_answer(example, name))
    return tuple(answers)


def _answer(example: Shown, picture: str) -> Answer:
    predicted = example.predicted
    order = np.argsort(-example.probabilities, kind="stable")
    known = predicted is not None
    return Answer(
        index=example.index,
        label=example.label,
        predicted=predicted,
        confidence=float(example.probabilities[order[0]]) if known else None,
        second=int(order[1]) if known else None,
        second_confidence=float(example.probabilities[order[1]]) if known else None,
        picture=picture,
    )


def _write(image: Image8, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, optimize=True)
