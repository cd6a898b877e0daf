"""What a client is told when a request can't be answered."""

from __future__ import annotations

from collections.abc import Mapping


class RequestError(Exception):
    """A request can't be answered; the message goes to the client.

    Attributes:
      status: of HTTP.
      headers: to send with it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def invalid(*parts: object) -> RequestError:
    """What TensorFlow calls an invalid argument."""
    return RequestError(400, "".join(map(str, parts)))
