"""Prepares pictures, such as photos and scans, for a model, and declines unclear pictures.

A data definition may name its own preprocessing. Without one, pictures are resized and padded with
black, as in the signature `serving_images`.

A picture is declined if the preprocessing has a doubt or the model's confidence is too low. The
model's best guess is still returned.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

MAX_BYTES = 20 * 2**20
"""Largest accepted file, above the size of a phone's photo."""

MAX_PIXELS = 50_000_000
"""Largest picture decoded by default: a photo of 50 megapixels."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")
"""Accepted formats, by Pillow's names. Some of Pillow's other decoders start programs."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture, prepared for a model.

    Attributes:
      views: uint8 of shape (v, *image_shape), v >= 1: variants of the same image, whose
        predictions are averaged. The first one is displayed.
      doubt: the reason why the picture does not clearly show one class, as a clause such as "more
        than one digit"; "" if there is no doubt.
    """

    views: npt.NDArray[np.uint8]
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for n pictures.

    Attributes:
      probabilities: shape (n, classes).
      declined: the reason for declining each picture; "" if it clearly shows one class.
    """

    probabilities: npt.NDArray[np.float32]
    declined: list[str]


PicturePreprocessing = Callable[[Image.Image], Prepared]
"""Takes a picture from `open_picture`; raises PictureError if it shows nothing."""

_FUNCTION = re.compile(r"(models(?:\.\w+)+)\.(\w+)")


class PictureError(ValueError):
    """A picture can't be read, is too large, or does not show a class; the message is one line."""


class PredictionError(Exception):
    """The model's prediction has no meaning, such as NaN; the message is one line."""


def open_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes a picture, upright and with 8 bits per channel.

    Args:
      data: a file in one of FORMATS. Only the first frame or page is used.
      max_pixels: largest accepted number of pixels.

    Returns:
      A picture in mode L, RGB or RGBA.

    Raises:
      PictureError: if the file is larger than MAX_BYTES, damaged or in an unknown format, or the
        picture has more than `max_pixels`, which is checked before decoding.
    """
    picture = _identify(data, max_pixels)
    try:
        return _eight_bit(ImageOps.exif_transpose(picture))
    except Exception as error:
        raise PictureError(
            f"Expected a complete {picture.format} picture, received one that can't be decoded "
            f"({' '.join(str(error).split()) or type(error).__name__}): save or send it again."
        ) from error


def prepare_picture(
    picture: Image.Image, image_shape: tuple[int, int, int], preprocessing: str
) -> Prepared:
    """Prepares a decoded picture for a model.

    Args:
      picture: from `open_picture`.
      image_shape: height, width and channels (1 or 3).
      preprocessing: path of a PicturePreprocessing in the package `models`, or "".

    Raises:
      PictureError: from the preprocessing.
      ImportError: if there is no such preprocessing.
      TypeError: if the preprocessing returns a value of the wrong type.
    """
    if not preprocessing:
        return Prepared(resize_with_padding(picture, image_shape)[np.newaxis])
    prepared = find_preprocessing(preprocessing)(picture)
    views = prepared.views if isinstance(prepared, Prepared) else np.asarray(prepared)
    if not (
        isinstance(prepared, Prepared)
        and (views.shape, views.dtype.name) == ((len(views), *image_shape), "uint8")
        and len(views)
    ):
        raise TypeError(
            f"Expected Prepared with views of shape (1 or more, {str(image_shape)[1:]} and dtype "
            f"uint8 from {preprocessing}, received {type(prepared).__name__} of {views.shape} "
            f"{views.dtype}."
        )
    return prepared


def combine_views(
    prepared: Sequence[Prepared],
    probabilities: npt.NDArray[np.float32],
    least_confidence: float,
) -> Predictions:
    """Averages the predictions for each picture's views, and declines unclear pictures.

    Args:
      prepared: n pictures.
      probabilities: probabilities for all views in order, shape (total views, classes).
      least_confidence: a picture is declined if the class with the highest mean probability has
        a lower probability than this in any view; 0 disables this rule.

    Raises:
      PredictionError: if a probability is NaN or infinite.
    """
    if not np.isfinite(probabilities).all():
        raise PredictionError("The model's prediction is not finite: release another model.")
    ends = np.cumsum([len(picture.views) for picture in prepared], dtype=np.int64)
    parts = np.split(probabilities, ends)[: len(prepared)]
    means = [part.mean(axis=0) for part in parts]
    declined = [
        picture.doubt or _low_confidence(float(part[:, mean.argmax()].min()), least_confidence)
        for picture, part, mean in zip(prepared, parts, means, strict=True)
    ]
    shape = (len(prepared), probabilities.shape[1])
    return Predictions(np.reshape(means, shape).astype(np.float32), declined)


def _low_confidence(confidence: float, least: float) -> str:
    return f"low confidence ({confidence:.0%})" if confidence < least else ""


def check_preprocessing(image_shape: tuple[int, int, int], preprocessing: str) -> None:
    """Runs the preprocessing of a data definition on a blank picture.

    Raises:
      ImportError: if there is no such function.
      TypeError: if the function doesn't return `Prepared` with views of image_shape.
    """
    with contextlib.suppress(PictureError):  # A blank picture may be rejected.
        prepare_picture(Image.new("RGB", (64, 64), "gray"), image_shape, preprocessing)


def find_preprocessing(path: str) -> PicturePreprocessing:
    """Imports a PicturePreprocessing.

    Args:
      path: dotted path, such as "models.digits.framing.to_mnist".

    Raises:
      ImportError: if there is no such function, or the path is outside the package `models`.
    """
    match = _FUNCTION.fullmatch(path)
    function = getattr(importlib.import_module(match[1]), match[2], None) if match else None
    if function is None:
        raise ImportError(f"Expected the name of a function in models, received {path!r}.")
    found: PicturePreprocessing = function
    return found


def resize_with_padding(
    picture: Image.Image, image_shape: tuple[int, int, int]
) -> npt.NDArray[np.uint8]:
    """Resizes and pads a decoded picture as `models.signatures.decode_image` does.

    Transparent parts become black. For one channel, colors become luma (ITU-R BT.601). The aspect
    ratio is preserved by padding with black. A picture of this exact size keeps its pixels.

    Args:
      picture: mode L, RGB or RGBA.
      image_shape: height, width and channels.

    Returns:
      uint8 of image_shape; pixels may differ from `decode_image` by rounding.
    """
    height, width, channels = image_shape
    opaque = _on_black(picture).convert("L" if channels == 1 else "RGB")
    rows = min(max(round(opaque.height / opaque.width * width), 1), height)
    columns = min(max(round(opaque.width / opaque.height * height), 1), width)
    top, left = round((height - rows) / 2), round((width - columns) / 2)
    resized = np.asarray(opaque.resize((columns, rows), Image.Resampling.BILINEAR))
    image = np.zeros(image_shape, np.uint8)
    image[top : top + rows, left : left + columns] = resized.reshape(rows, columns, channels)
    return image


def _identify(data: bytes, max_pixels: int) -> Image.Image:
    """Reads a picture's header."""
    if len(data) > MAX_BYTES:
        raise PictureError(
            f"Expected a picture of at most {MAX_BYTES // 2**20} MiB, received "
            f"{len(data) / 2**20:.1f} MiB: make it smaller."
        )
    if not data:
        raise PictureError("Expected a picture, received an empty file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data), formats=_known_formats())
    except Image.DecompressionBombError as error:
        raise _too_large(str(error), max_pixels) from error
    except Exception as error:  # Pillow's decoders raise many types.
        raise PictureError(
            f"Expected a picture ({', '.join(FORMATS)}), received {len(data)} bytes in another "
            "format: convert the file to PNG or JPEG."
        ) from error
    if picture.width * picture.height > max_pixels:
        raise _too_large(f"{picture.width} x {picture.height}", max_pixels)
    return picture


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _too_large(received: str, most: int) -> PictureError:
    return PictureError(
        f"Expected a picture of at most {most / 10**6:g} megapixels, received {received}: "
        "make it smaller."
    )


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Converts any mode to L, RGB or RGBA."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return Image.fromarray(_scale_to_eight_bit(np.asarray(picture)))
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _scale_to_eight_bit(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Scales pixels of more than 8 bits by their probable range: 1, 255 or 65535."""
    values = np.nan_to_num(pixels.astype(np.float32))
    greatest = float(values.max(initial=0))
    ranges = {"f": [1, 255, 65535], "i": [255, 65535]}.get(pixels.dtype.kind, [65535])
    scale = 255 / next((top for top in ranges if greatest <= top), greatest)
    return np.clip(np.round(values * scale), 0, 255).astype(np.uint8)


def _on_black(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    black = Image.new("RGB", picture.size)
    return Image.composite(picture.convert("RGB"), black, picture.getchannel("A"))
