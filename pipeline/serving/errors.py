"""Errors that are reported to the client."""

from __future__ import annotations

from collections.abc import Mapping


class RequestError(Exception):
    """A request failed; the client receives the message.

    Attributes:
      status: HTTP status.
      headers: headers of the response.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def invalid(*parts: object) -> RequestError:
    """Creates the error for an invalid argument: status 400."""
    return RequestError(400, "".join(map(str, parts)))
