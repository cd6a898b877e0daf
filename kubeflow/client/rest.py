"""HTTP requests to the API server of Kubeflow Pipelines: authentication, time limits, errors."""

from __future__ import annotations

import json
import os
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase

TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105 - the name of a variable, not a token
COOKIE_VARIABLE = "KF_PIPELINES_COOKIE"

TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes of a response."""

_TRANSIENT = frozenset({408, 429})
_HINTS = {401: "; check the token", 403: "; check the token's rights"}


class ApiError(Exception):
    """The API server refused a request or can't be reached; the message is one line.

    Attributes:
      transient: whether the same request may succeed later.
    """

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class RestClient:
    """Sends requests, and raises ApiError for every response that is not a success."""

    def __init__(self, host: str, token_file: Path | None, ca_certificates: Path | None) -> None:
        """Sends nothing yet.

        Args:
          host: URL of the API server.
          token_file: file with a bearer token, read again for each request because a projected
            token rotates; None takes the token in KF_PIPELINES_TOKEN, if it is set.
          ca_certificates: PEM file of the authorities to trust; None trusts those of
            REQUESTS_CA_BUNDLE, else the public ones.

        Raises:
          ApiError: KF_PIPELINES_COOKIE is not the value of a header.
        """
        self._host = host.rstrip("/")
        # Set for each request: REQUESTS_CA_BUNDLE would replace the session's.
        self._verify = str(ca_certificates) if ca_certificates else None
        self._session = requests.Session()
        self._session.auth = _BearerToken(token_file)
        if cookie := os.environ.get(COOKIE_VARIABLE):
            self._session.headers["Cookie"] = _checked(cookie, COOKIE_VARIABLE)

    def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Sends a request, and parses the JSON object of the response; null fields are left out.

        Args:
          method: HTTP method.
          path: below the host.
          options: as `requests.Session.request` takes them.

        Raises:
          ApiError: the server refused, can't be reached, or didn't answer with a JSON object.
        """
        text = self.text(method, path, **options)
        try:
            value = json.loads(text, object_pairs_hook=_without_nulls)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            received = f"expected a JSON object from {self._host}, received {text[:60]!r}"
            raise ApiError(f"{received}; check --host", transient=False)
        return value

    def text(self, method: str, path: str, **options: Any) -> str:
        """Sends a request, and decodes the response.

        Raises:
          ApiError: the server refused, or can't be reached.
        """
        try:
            # A redirected POST would become a GET; what redirects is a login page.
            response = self._session.request(
                method,
                f"{self._host}{path}",
                timeout=TIMEOUT,
                verify=self._verify,
                allow_redirects=False,
                **options,
            )
        except requests.RequestException as error:
            hint = "check --host, --ca-cert and the network"
            message = f"can't reach {self._host}: {_root_cause(error)}; {hint}"
            raise ApiError(message, transient=not isinstance(error, ValueError)) from error
        if not response.ok or response.is_redirect:
            raise _refusal(response)
        return response.content.decode("utf-8", errors="replace")


class _BearerToken(AuthBase):
    """Adds the token to a request. As the session's `auth`, it also keeps ~/.netrc out."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token = _read_token(self._path) if self._path else os.environ.get(TOKEN_VARIABLE)
        if token is not None:
            checked = _checked(token, str(self._path or TOKEN_VARIABLE))
            request.headers["Authorization"] = f"Bearer {checked}"
        return request


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ApiError(f"can't read the token in {path}: {error}", transient=True) from error


def _checked(secret: str, place: str) -> str:
    """Refuses what a header can't carry; requests would show the secret in its message."""
    if not re.fullmatch("[ -~]+", secret):
        message = f"expected one line of ASCII in {place}, received something else"
        raise ApiError(message, transient=False)
    return secret


def _without_nulls(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if value is not None}


def _root_cause(error: OSError) -> OSError:
    """What the operating system or TLS said, without the names of HTTP pools around it."""
    cause, context = error, error.__context__
    while isinstance(context, Exception):
        cause = context if isinstance(context, OSError) else cause
        context = context.__context__
    return cause


def _refusal(response: requests.Response) -> ApiError:
    status = response.status_code
    hint = _HINTS.get(status, "")
    if response.is_redirect:
        hint = f" to {response.headers['Location']}; check --host, the token and the cookie"
    return ApiError(
        f"the API server refused with HTTP status {status}: {_message(response)}{hint}",
        transient=status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def _message(response: requests.Response) -> str:
    """The `message` of gRPC, the `error_message` of an upload, or the reason phrase."""
    try:
        body = response.json()
        message = body.get("message") or body.get("error_message")
    except (AttributeError, ValueError):
        message = None
    return " ".join(str(message or response.reason or "no reason given").split())
