"""Limits on the size of requests and on the time to receive their bodies."""

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
"""For responses sent before the complete body is read, because the rest may never arrive."""

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM")
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
"""Image formats that TensorFlow decodes: their first bytes and their names in Pillow."""


@dataclass(frozen=True)
class Limits:
    """Upper limits of the server.

    Attributes:
      body_bytes: bytes in the body of a request.
      instances: examples in a request.
      pixels: total number of pixels in the images of a request.
      batch: examples in a batch, which can contain several requests.
      waiting: queued requests.
    """

    body_bytes: int
    instances: int
    pixels: int
    batch: int
    waiting: int


async def read_body(request: Request, most: int) -> bytes:
    """Reads the body of a request.

    Args:
      request: a request with an unread body, plain or compressed with gzip.
      most: largest number of bytes, before and after decompression.

    Raises:
      RequestError: 413 for a larger body, 415 for another encoding, 400 for invalid gzip data, 408
        if the body is not received within BODY_SECONDS.
      starlette.requests.ClientDisconnect: if the client closed the connection.
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
    """Decompresses a body. Stops after `most` bytes, in case of a decompression bomb."""
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = decompressor.decompress(body, most + 1)
    except zlib.error as error:
        raise invalid("Expected a body compressed by gzip: ", error) from error
    if len(content) > most:
        raise _too_long(f"more than {most}", most)
    if not decompressor.eof:
        raise invalid("Expected a body compressed by gzip, received a truncated one.")
    return content


def check_pixels(values: Iterable[bytes], most: int) -> None:
    """Reads the headers of images and rejects images that would take too much memory.

    Args:
      values: any bytes. Values that are not images are ignored.
      most: largest total number of pixels.

    Raises:
      RequestError: 400 for more pixels, or an image with an invalid header.
    """
    pixels = 0
    for value in values:
        if value.startswith(_SIGNATURES):
            pixels += _pixels(value)
    if pixels > most:
        raise invalid(f"Expected images of at most {most} pixels in total, received {pixels}.")


def _pixels(encoded: bytes) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            width, height = Image.open(io.BytesIO(encoded), formats=_FORMATS).size
    except Exception as error:  # Pillow's decoders raise many types of errors.
        reason = " ".join(str(error).split())[:200].replace(" object at 0x", " at ")
        raise invalid("Expected an image, received one that can't be read: ", reason) from error
    return abs(width * height)


def _too_long(received: str, most: int) -> RequestError:
    return RequestError(
        413,
        f"Expected a body of at most {most} bytes, received {received[:30]}: send less at once.",
        _HANG_UP,
    )
