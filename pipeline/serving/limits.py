"""How large a request may be, and how long its body may take."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
from PIL import Image
from starlette.requests import Request

from pipeline.serving.errors import RequestError, invalid

BODY_SECONDS = 30.0

_HANG_UP = {"Connection": "close"}
"""For responses to a body that is not read to its end, which might never come."""

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM")
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
"""What TensorFlow decodes, and Pillow's names for it."""


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes:
      body_bytes: length of a request's body.
      instances: examples in one request.
      pixels: of all images in one request together.
      batch: examples in one call of the model, from several requests.
      waiting: requests that wait for the model.
    """

    body_bytes: int
    instances: int
    pixels: int
    batch: int
    waiting: int


async def read_body(request: Request, most: int) -> bytes:
    """Reads the body of a request.

    Args:
      request: whose body nobody has read yet.
      most: bytes.

    Raises:
      RequestError: 413 if it is longer, 415 if it is compressed otherwise than by gzip, 400 if that
        is broken, 408 if it takes BODY_SECONDS.
      starlette.requests.ClientDisconnect: if the client has closed the connection.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RequestError(415, "Expected no Content-Encoding other than gzip.", _HANG_UP)
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most:
        raise _too_long(declared, most)
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise _too_long(f"more than {most}", most)
    except TimeoutError as error:
        raise RequestError(
            408, f"Expected the body within {BODY_SECONDS:.0f} s.", _HANG_UP
        ) from error
    return _decompressed(body, most) if encoding == "gzip" else bytes(body)


def _decompressed(body: bytearray, most: int) -> bytes:
    """Decompresses at most `most` bytes, to guard against decompression bombs."""
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = decompressor.decompress(body, most + 1)
    except zlib.error as error:
        raise invalid("Expected a body compressed by gzip: ", error) from error
    if len(content) > most:
        raise _too_long(f"more than {most}", most)
    if not decompressor.eof:
        raise invalid("Expected a body compressed by gzip, received a part of one.")
    return content


def check_pixels(values: Iterable[bytes], most: int) -> None:
    """Refuses images that would take too much memory; only their headers are read.

    Args:
      values: any bytes; those that are no images are ignored.
      most: pixels of all together.

    Raises:
      RequestError: 400.
    """
    pixels = 0
    for value in values:
        if value.startswith(_SIGNATURES):
            pixels += _pixels(value)
    if pixels > most:
        raise invalid(f"Expected images of at most {most} pixels in all, received {pixels}.")


def _pixels(encoded: bytes) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            width, height = Image.open(io.BytesIO(encoded), formats=_FORMATS).size
    except Exception as error:  # Pillow's decoders raise many kinds, which mean the same here.
        reason = " ".join(str(error).split())[:200].replace(" object at 0x", " at ")
        raise invalid("Expected an image, received one that can't be read: ", reason) from error
    return abs(width * height)


def _too_long(received: str, most: int) -> RequestError:
    return RequestError(
        413,
        f"Expected a body of at most {most} bytes, received {received[:30]}: send less at once.",
        _HANG_UP,
    )
