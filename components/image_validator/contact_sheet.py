"""Draws the worst images of a finding as one row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.image_validator.evidence import Located
from components.image_validator.files import sheet_name
from components.image_validator.reading import read_images
from components.image_validator.rules import Finding

_LONGEST_SIDE = 128


def write_sheets(findings: Sequence[Finding], directories: dict[str, Path]) -> None:
    """Writes a PNG file for each finding with images, in the directory of its split."""
    pictures = _read({image for finding in findings for image in finding.worst})
    for finding in findings:
        if finding.worst:
            row = [_to_picture(pictures[image.path, image.row]) for image in finding.worst]
            sheet = Image.new("RGBA", (sum(p.width for p in row), max(p.height for p in row)))
            left = 0
            for picture in row:
                sheet.paste(picture, (left, 0))
                left += picture.width
            sheet.save(directories[finding.split] / sheet_name(finding.subject), optimize=True)


def _read(images: set[Located]) -> dict[tuple[str, int], npt.NDArray[np.uint8]]:
    rows: dict[str, set[int]] = {}
    for image in images:
        rows.setdefault(image.path, set()).add(image.row)
    return {
        (path, row): pixels
        for path, wanted in rows.items()
        for row, pixels in read_images(path, wanted).items()
    }


def _to_picture(image: npt.NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return picture
