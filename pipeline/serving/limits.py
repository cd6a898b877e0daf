"""How much a request may ask, and how long it may take to ask it."""

from __future__ import annotations

import asyncio
import io
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio
from PIL import Image
from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.serving.errors import RequestError, invalid

HEADER_BYTES = 32 * 2**10
HEADER_SECONDS = 5.0
BODY_SECONDS = 30.0

_HANG_UP = {"Connection": "close"}
"""Where the rest of a body is not read: it could come for ever."""

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM")
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
"""What TensorFlow decodes, and Pillow's names for it."""


@dataclass(frozen=True)
class Limits:
    """What may be asked at once.

    Attributes:
      body_bytes: length of a request's body.
      instances: examples in one request.
      pixels: of all images in one request together.
      batch: examples in one call of the model, of several requests.
      waiting: requests.
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
      starlette.requests.ClientDisconnect: if nobody waits for an answer any more.
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
    """At most so many bytes: a small body may stand for a huge one."""
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
      values: any bytes; those that are no images are overlooked.
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


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP, which would wait for the rest of a request's headers for ever.

    A connection that has not sent whole headers within HEADER_SECONDS, or has sent more than
    HEADER_BYTES of them, is closed.
    """

    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Begins to wait for the headers of a further request."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Ends the waiting."""
        self._deadline_off()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Counts bytes while it waits."""
        if self._deadline is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._deadline is not None and self._header_bytes > HEADER_BYTES:
            self._give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the waiting."""
        self._deadline_off()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline_off()
        self._header_bytes = 0
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _deadline_off(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline_off()
        self.transport.close()
