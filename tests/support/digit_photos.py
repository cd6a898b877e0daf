"""Synthetic photos, scans, screenshots and similar pictures, drawn from MNIST images.

`DIGITS` draw one digit. `OTHERS` draw something else, which should be declined. Each picture
depends only on its random number generator and on the given images.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Pixels = npt.NDArray[np.float64]
"""Ink from 0 to 1, or brightness from 0 to 255; shape (height, width) or (height, width, 3)."""

Digits = Sequence[npt.NDArray[np.uint8]]
"""MNIST images, each uint8 of shape (28, 28)."""

Draw = Callable[[Generator, Digits], Image.Image]
"""Draws a picture of the first digit, or of several."""

LETTERS = "AEFHKLMNPRTVWXY"
"""Capital letters except B, D, G, I, J, O, Q, S, U and Z, which look like digits."""

_FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf")


def stroke(image: npt.NDArray[np.uint8], side: int, angle: float = 0, pen: float = 0) -> Pixels:
    """Enlarges a digit to smooth strokes.

    Args:
      image: an MNIST image.
      side: longer side of the digit, in pixels.
      angle: rotation in degrees.
      pen: added to the strokes' width on each side, as a share of the longer side.
    """
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    cut = np.pad(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 3)
    scale = side / (max(cut.shape) - 6)
    size = (round(cut.shape[1] * scale), round(len(cut) * scale))
    large = Image.fromarray(cut).resize(size, Image.Resampling.BICUBIC)
    values = np.asarray(large.rotate(angle, Image.Resampling.BICUBIC, expand=True)) / 255
    smooth = ndimage.gaussian_filter(values, scale * 0.35)
    if pen:
        distance = ndimage.distance_transform_edt(smooth <= 0.4)
        distance -= ndimage.distance_transform_edt(smooth > 0.4)
        ink = np.clip(pen * side - distance + 0.5, 0, 1)
    else:
        ink = 1 / (1 + np.exp(-16 * (smooth - 0.4)))
    return _cut(np.where(ink < 0.02, 0, ink))


def _cut(ink: Pixels) -> Pixels:
    rows, columns = (np.flatnonzero((ink > 0.1).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def place(ink: Pixels, shape: tuple[int, ...], center: tuple[float, float]) -> Pixels:
    """Places ink in an empty picture.

    Args:
      ink: not larger than the picture.
      shape: height and width of the picture.
      center: center of the ink, relative to height and width. Adjusted to avoid cropping.
    """
    page = np.zeros(shape)
    top, left = (
        int(np.clip(round(share * whole - part / 2), 0, whole - part))
        for share, whole, part in zip(center, shape, ink.shape, strict=True)
    )
    page[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return page


def _shape(rng: Generator) -> tuple[int, int]:
    """Returns a random height and width."""
    return int(rng.integers(300, 900)), int(rng.integers(300, 900))


def _written(
    rng: Generator,
    image: npt.NDArray[np.uint8],
    share: tuple[float, float] = (0.35, 0.65),
    angle: float = 0,
    pen: float = 0,
) -> Pixels:
    """A digit near the middle of a page, sized relative to the page's shorter side."""
    shape = _shape(rng)
    ink = stroke(image, round(min(shape) * rng.uniform(*share)), angle, pen)
    return place(ink, shape, (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6)))


def _page(ink: Pixels, paper: Pixels | float = 225, pen: Pixels | float = 40) -> Pixels:
    """Dark ink on paper, in color if paper or pen has colors."""
    if np.shape(pen) == (3,):
        ink = ink[..., np.newaxis]
    return paper * (1 - ink) + pen * ink


def _grain(rng: Generator, page: Pixels, deviation: float = 3) -> Pixels:
    return page + rng.normal(0, deviation, page.shape)


def _light(rng: Generator, shape: tuple[int, ...], depth: float = 90) -> Pixels:
    """Brightness of paper that is lit from one side."""
    height, width = shape
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:height, 0:width]
    slope = (rows / height - 0.5) * np.sin(angle) + (columns / width - 0.5) * np.cos(angle)
    return 190 + depth * slope


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def _photo(
    rng: Generator,
    ink: Pixels,
    paper: Pixels | float = 225,
    pen: Pixels | float = 40,
    deviation: float = 3,
) -> Image.Image:
    """Dark ink on paper, with the camera's grain."""
    return _picture(_grain(rng, _page(ink, paper, pen), deviation))


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert(picture.mode)


def scan(rng: Generator, images: Digits) -> Image.Image:
    """Dark on white, evenly lit."""
    return _photo(rng, _written(rng, images[0]), 245, 20, deviation=1)


def uneven_light(rng: Generator, images: Digits) -> Image.Image:
    """Lit from one side."""
    ink = _written(rng, images[0])
    return _photo(rng, ink, _light(rng, ink.shape, 120), 30)


def grain(rng: Generator, images: Digits) -> Image.Image:
    """A noisy sensor."""
    return _photo(rng, _written(rng, images[0]), 190, 50, deviation=rng.uniform(14, 24))


def shadow(rng: Generator, images: Digits) -> Image.Image:
    """The edge of a shadow crosses the paper beside the digit, or the digit."""
    ink = _written(rng, images[0])
    height, width = ink.shape
    rows, columns = np.mgrid[0:height, 0:width]
    edge = rng.uniform(0.15, 0.85) * width + rng.uniform(-0.3, 0.3) * (rows - height / 2)
    lit = ndimage.gaussian_filter((columns < edge).astype(float), rng.uniform(1, 8))
    return _photo(rng, ink, 120 + 100 * lit, 30 + 15 * lit)


def small(rng: Generator, images: Digits) -> Image.Image:
    """A small digit, far from the middle."""
    shape = _shape(rng)
    ink = stroke(images[0], max(40, round(min(shape) * rng.uniform(0.1, 0.2))))
    page = place(ink, shape, (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)))
    return _photo(rng, page, _light(rng, shape, 40))


def large(rng: Generator, images: Digits) -> Image.Image:
    """The digit fills nearly all of the picture."""
    ink = stroke(images[0], int(rng.integers(300, 700)))
    shape = (round(ink.shape[0] * rng.uniform(1.05, 1.2)), round(ink.shape[1] * 1.3) + 20)
    return _photo(rng, place(ink, shape, (0.5, 0.5)))


def turned(rng: Generator, images: Digits) -> Image.Image:
    """Turned by up to 12 degrees."""
    return _photo(rng, _written(rng, images[0], angle=rng.uniform(-12, 12)))


def colored_ink(rng: Generator, images: Digits) -> Image.Image:
    """Blue, red, green or violet ink on white or yellowish paper."""
    ink = _written(rng, images[0])
    pens = np.array([(30, 50, 170), (200, 40, 40), (20, 120, 60), (110, 40, 140)])
    papers = np.array([(240, 240, 238), (235, 228, 190)])
    return _photo(rng, ink, rng.choice(papers), rng.choice(pens))


def pencil(rng: Generator, images: Digits) -> Image.Image:
    """Gray on white, with the paper's texture in the strokes."""
    ink = _written(rng, images[0], pen=-0.015)
    texture = ndimage.gaussian_filter(rng.uniform(0, 1, ink.shape), 1.2)
    covered = ink * np.clip(0.75 + 2.5 * (texture - 0.5), 0.2, 1)
    return _photo(rng, covered, _light(rng, ink.shape, 30), 130)


def thin_pen(rng: Generator, images: Digits) -> Image.Image:
    """Strokes of two thirds of MNIST's width or less."""
    return _photo(rng, _written(rng, images[0], pen=-rng.uniform(0.015, 0.028)))


def thick_marker(rng: Generator, images: Digits) -> Image.Image:
    """Strokes that are wider by 4 to 8% of the height."""
    return _photo(rng, _written(rng, images[0], pen=rng.uniform(0.02, 0.04)))


def screenshot(rng: Generator, images: Digits) -> Image.Image:
    """A phone's screen in its dark theme."""
    ink = _written(rng, images[0])
    background = np.array([rng.uniform(10, 40)] * 3)
    return _picture(_page(ink, background, np.array([235, 235, rng.uniform(200, 255)])))


def heavy_jpeg(rng: Generator, images: Digits) -> Image.Image:
    """Compressed until blocks show."""
    ink = _written(rng, images[0])
    page = _grain(rng, _page(ink, _light(rng, ink.shape, 60), 60), 6)
    return _jpeg(_picture(page), int(rng.integers(3, 10)))


def blur(rng: Generator, images: Digits) -> Image.Image:
    """Out of focus."""
    ink = _written(rng, images[0])
    height = np.ptp(np.flatnonzero((ink > 0.1).any(axis=1)))
    blurred = ndimage.gaussian_filter(ink, height * rng.uniform(0.03, 0.06))
    return _photo(rng, blurred)


def underlined(rng: Generator, images: Digits) -> Image.Image:
    """A line by hand below the digit, apart from it."""
    ink = _written(rng, images[0], (0.35, 0.55))
    rows, columns = (np.flatnonzero((ink > 0.1).any(axis=axis)) for axis in (1, 0))
    height, middle = np.ptp(rows), (columns[0] + columns[-1]) / 2
    half = max(np.ptp(columns), 0.4 * height) * rng.uniform(0.6, 1.1)
    y = rows[-1] + height * rng.uniform(0.1, 0.25)
    line = Image.fromarray((ink * 255).astype(np.uint8))
    ends = [(middle - half, y + rng.uniform(-0.03, 0.03) * height), (middle + half, y)]
    ImageDraw.Draw(line).line(ends, 255, max(2, round(height * rng.uniform(0.03, 0.08))))
    return _photo(rng, np.asarray(line) / 255)


def paper_on_desk(rng: Generator, images: Digits) -> Image.Image:
    """A sheet, or a part of it, on a dark table; slightly turned."""
    shape = _shape(rng)
    height, width = shape
    sheet = Image.new("L", (width, height), 0)
    left, right = (rng.uniform(0.06, 0.2) * width for _ in range(2))
    top, bottom = (rng.uniform(0.06, 0.2) * height for _ in range(2))
    if rng.random() < 0.4:
        left = -width
    corners = (left, top, width - right, height - bottom)
    ImageDraw.Draw(sheet).rectangle(corners, fill=255)
    sheet = sheet.rotate(rng.uniform(-6, 6), Image.Resampling.BICUBIC)
    mask = np.asarray(sheet) / 255
    ink = stroke(images[0], round(min(shape) * rng.uniform(0.25, 0.4)))
    page = place(ink, shape, ((top + height - bottom) / 2 / height, rng.uniform(0.45, 0.55)))
    desk = rng.uniform(30, 90) + 6 * np.sin(np.linspace(0, 60, height))[:, np.newaxis]
    light = _light(rng, shape, 40)
    return _picture(_grain(rng, desk * (1 - mask) + _page(page, light + 15, 35) * mask))


def frame(rng: Generator, images: Digits) -> Image.Image:
    """A box is drawn around the digit, or the photo has a dark border."""
    ink = _written(rng, images[0], (0.3, 0.5))
    height, width = ink.shape
    page = _picture(_page(ink))
    margin = rng.uniform(0.02, 0.12) * min(ink.shape)
    if rng.random() < 0.3:
        margin = 0
    corners = (margin, margin, width - 1 - margin, height - 1 - margin)
    ImageDraw.Draw(page).rectangle(
        corners, outline=int(rng.integers(0, 90)), width=int(rng.integers(3, 16))
    )
    return _picture(_grain(rng, np.asarray(page).astype(float)))


def _ruling(rng: Generator, shape: tuple[int, ...], squares: bool) -> Pixels:
    """Lines of printed paper, slightly turned: 1 on a line."""
    height, width = shape
    spacing = rng.uniform(0.06, 0.14) * min(shape)
    half = max(1.0, spacing * rng.uniform(0.02, 0.05))
    angle = np.radians(rng.uniform(-2, 2))
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    across = rows * np.cos(angle) + columns * np.sin(angle) + rng.uniform(0, spacing)
    lines = np.clip(half + 0.5 - np.abs((across % spacing) - spacing / 2), 0, 1)
    if not squares:
        return lines
    along = columns * np.cos(angle) - rows * np.sin(angle) + rng.uniform(0, spacing)
    return np.maximum(lines, np.clip(half + 0.5 - np.abs(along % spacing - spacing / 2), 0, 1))


def _on_lines(rng: Generator, images: Digits, squares: bool) -> Image.Image:
    ink = _written(rng, images[0], (0.3, 0.6))
    line = _ruling(rng, ink.shape, squares)
    tint = np.array([150, 175, 215]) if rng.random() < 0.6 else np.array([165, 165, 165])
    paper = _page(line, _light(rng, ink.shape, 30)[..., np.newaxis] + 25, tint)
    return _photo(rng, ink, paper, np.array([35, 35, 60]))


def ruled_paper(rng: Generator, images: Digits) -> Image.Image:
    """Pale blue or gray lines run through the digit."""
    return _on_lines(rng, images, squares=False)


def squared_paper(rng: Generator, images: Digits) -> Image.Image:
    """Pale blue or gray squares run through the digit."""
    return _on_lines(rng, images, squares=True)


def specks(rng: Generator, images: Digits) -> Image.Image:
    """Dirt around the digit."""
    ink = _written(rng, images[0])
    page = Image.fromarray((ink * 255).astype(np.uint8))
    draw = ImageDraw.Draw(page)
    for _ in range(int(rng.integers(4, 15))):
        x, y, radius = rng.uniform(0, page.width), rng.uniform(0, page.height), rng.uniform(1, 6)
        draw.ellipse((x - radius, y - radius * 0.7, x + radius, y + radius), fill=255)
    return _photo(rng, np.asarray(page) / 255)


def _pair(rng: Generator, images: Digits, gaps: tuple[float, float]) -> Image.Image:
    """Digits side by side; the gap is a share of their height."""
    height = int(rng.integers(120, 300))
    inks = [stroke(image, round(height * rng.uniform(0.9, 1.1))) for image in images[:2]]
    gap = round(height * rng.uniform(*gaps))
    rows = max(len(ink) for ink in inks)
    joined = np.zeros((rows, sum(ink.shape[1] for ink in inks) + gap))
    joined[: len(inks[0]), : inks[0].shape[1]] = inks[0]
    joined[rows - len(inks[1]) :, -inks[1].shape[1] :] = inks[1]
    shape = (round(rows * rng.uniform(1.4, 2.2)), round(joined.shape[1] * rng.uniform(1.2, 1.9)))
    return _photo(rng, place(joined, shape, (0.5, 0.5)))


def two_apart(rng: Generator, images: Digits) -> Image.Image:
    """Two digits with a wide gap."""
    return _pair(rng, images, (0.4, 1.2))


def two_close(rng: Generator, images: Digits) -> Image.Image:
    """Two digits, as in a number."""
    return _pair(rng, images, (0.06, 0.2))


def _text(rng: Generator, text: str) -> Image.Image:
    shape = _shape(rng)
    font = ImageFont.truetype(_font(str(rng.choice(_FONTS))), int(rng.integers(120, 240)))
    left, top, right, bottom = (round(side) for side in font.getbbox(text))
    letters = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(letters).text((-left, -top), text, 255, font)
    shape = (max(shape[0], letters.height + 60), max(shape[1], letters.width + 60))
    ink = place(np.asarray(letters) / 255, shape, (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6)))
    return _photo(rng, ink)


def _font(name: str) -> str:
    import matplotlib as mpl

    return f"{mpl.get_data_path()}/fonts/ttf/{name}"


def dot(rng: Generator, images: Digits) -> Image.Image:
    """A filled round spot of any size."""
    shape = _shape(rng)
    picture = Image.new("L", (shape[1], shape[0]))
    radius = min(shape) * rng.uniform(0.02, 0.25)
    x, y = (side * rng.uniform(0.4, 0.6) for side in picture.size)
    wide = radius * rng.uniform(0.8, 1.25)
    ImageDraw.Draw(picture).ellipse((x - wide, y - radius, x + wide, y + radius), fill=255)
    return _photo(rng, np.asarray(picture) / 255)


def letter(rng: Generator, images: Digits) -> Image.Image:
    """A printed letter."""
    return _text(rng, str(rng.choice([*LETTERS])))


def word(rng: Generator, images: Digits) -> Image.Image:
    """A printed word or number."""
    words = ["Hello", "MNIST", "total", "12", "2024", "3.14", "No. 5", "a b", "48", "007"]
    return _text(rng, str(rng.choice(words)))


def line(rng: Generator, images: Digits) -> Image.Image:
    """A horizontal or falling line, which is not a 1."""
    shape = _shape(rng)
    picture = Image.new("L", (shape[1], shape[0]))
    length = shape[1] * rng.uniform(0.3, 1.2)
    angle = np.radians(rng.uniform(-25, 25))
    x, y = shape[1] / 2, shape[0] * rng.uniform(0.3, 0.7)
    dx, dy = length / 2 * np.cos(angle), length / 2 * np.sin(angle)
    ImageDraw.Draw(picture).line((x - dx, y - dy, x + dx, y + dy), 255, int(rng.integers(4, 20)))
    return _photo(rng, np.asarray(picture) / 255)


def scribble(rng: Generator, images: Digits) -> Image.Image:
    """A back-and-forth scribble."""
    shape = _shape(rng)
    picture = Image.new("L", (shape[1], shape[0]))
    count = int(rng.integers(12, 30))
    middle, spread = np.array(picture.size) / 2, min(shape) * 0.35
    ends = middle + rng.uniform(-spread, spread, (count, 2))
    smooth = ndimage.zoom(ends, (8, 1), order=3)
    width = int(rng.integers(4, 14))
    ImageDraw.Draw(picture).line([tuple(end) for end in smooth], 255, width, joint="curve")
    return _photo(rng, np.asarray(picture) / 255)


def blank(rng: Generator, images: Digits) -> Image.Image:
    """Empty paper: lit unevenly, with grain and perhaps a shadow or texture."""
    shape = _shape(rng)
    page = _light(rng, shape, rng.uniform(0, 120))
    if rng.random() < 0.5:
        page += 12 * ndimage.gaussian_filter(rng.normal(0, 40, shape), 12)
    return _picture(_grain(rng, page, rng.uniform(2, 20)))


DIGITS: Mapping[str, Draw] = {
    "scan": scan,
    "uneven light": uneven_light,
    "grain": grain,
    "shadow": shadow,
    "small, off center": small,
    "fills the picture": large,
    "turned": turned,
    "colored ink": colored_ink,
    "pencil": pencil,
    "thin pen": thin_pen,
    "thick marker": thick_marker,
    "screenshot": screenshot,
    "heavy JPEG": heavy_jpeg,
    "blur": blur,
    "underlined": underlined,
    "paper on a desk": paper_on_desk,
    "frame": frame,
    "ruled paper": ruled_paper,
    "squared paper": squared_paper,
    "specks": specks,
}
"""Functions that draw one digit, by kind of picture."""

OTHERS: Mapping[str, Draw] = {
    "two digits apart": two_apart,
    "two digits close": two_close,
    "dot": dot,
    "letter": letter,
    "word or number": word,
    "line": line,
    "scribble": scribble,
    "blank": blank,
}
"""Functions that draw something else, by kind of picture."""


def draw_all(draw: Draw, images: npt.NDArray[np.uint8], count: int, seed: int) -> list[Image.Image]:
    """Draws pictures of one kind: number i shows images[i], and images[i + 1] beside it.

    Args:
      draw: a function from DIGITS or OTHERS.
      images: uint8 of shape (more than `count`, 28, 28).
      count: number of pictures.
      seed: seed of the random number generator.
    """
    return [
        draw(np.random.default_rng([seed, number]), [*images[number : number + 2]])
        for number in range(count)
    ]
