"""HTTP client for the Kubeflow Pipelines API server: authentication, timeouts and errors."""

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
"""Connect timeout and read timeout, in seconds."""

_TRANSIENT = frozenset({408, 429})
_HINTS = {401: "; check the token", 403: "; check the token's permissions"}


class ApiError(Exception):
    """The API server rejected a request or can't be reached. The message is one line.

    Attributes:
      transient: True if the same request may succeed later.
    """

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class RestClient:
    """Sends requests and raises ApiError for every unsuccessful response."""

    def __init__(self, host: str, token_file: Path | None, ca_certificates: Path | None) -> None:
        """Creates the client without sending a request.

        Args:
          host: URL of the API server.
          token_file: file with a bearer token, reread for each request because Kubernetes rotates
            projected tokens. If None, the token comes from KF_PIPELINES_TOKEN, if that is set.
          ca_certificates: PEM file with the certificate authorities to trust. If None, they come
            from REQUESTS_CA_BUNDLE, else from the public bundle.

        Raises:
          ApiError: KF_PIPELINES_COOKIE is not a valid header value.
        """
        self._host = host.rstrip("/")
        # Passed with each request, because REQUESTS_CA_BUNDLE overrides a session's setting.
        self._verify = str(ca_certificates) if ca_certificates else None
        self._session = requests.Session()
        self._session.auth = _BearerToken(token_file)
        if cookie := os.environ.get(COOKIE_VARIABLE):
            self._session.headers["Cookie"] = _checked(cookie, COOKIE_VARIABLE)

    def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Sends a request and parses the response as a JSON object.

        Args:
          method: HTTP method.
          path: path of the URL, relative to the host.
          options: keyword arguments of `requests.Session.request`.

        Returns:
          The object without its null fields.

        Raises:
          ApiError: the server can't be reached, rejected the request, or did not return a JSON
            object.
        """
        text = self.text(method, path, **options)
        try:
            value = json.loads(text, object_pairs_hook=_without_nulls)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            problem = f"expected a JSON object from {self._host}, received {text[:60]!r}"
            raise ApiError(f"{problem}; check --host", transient=False)
        return value

    def text(self, method: str, path: str, **options: Any) -> str:
        """Sends a request and returns the response as text.

        Raises:
          ApiError: the server can't be reached or rejected the request.
        """
        try:
            # Only login pages redirect, and a redirected POST would turn into a GET.
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
            raise _http_error(response)
        return response.content.decode("utf-8", errors="replace")


class _BearerToken(AuthBase):
    """Adds the token to a request. A session with its own `auth` also ignores ~/.netrc."""

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


def _checked(secret: str, source: str) -> str:
    """Rejects invalid header values here, because `requests` would print the secret."""
    if not re.fullmatch("[ -~]+", secret):
        message = f"expected one line of ASCII in {source}, received other characters"
        raise ApiError(message, transient=False)
    return secret


def _without_nulls(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if value is not None}


def _root_cause(error: OSError) -> OSError:
    """Finds the error of the operating system or of TLS below the errors of the HTTP libraries."""
    cause, context = error, error.__context__
    while isinstance(context, Exception):
        cause = context if isinstance(context, OSError) else cause
        context = context.__context__
    return cause


def _http_error(response: requests.Response) -> ApiError:
    status = response.status_code
    hint = _HINTS.get(status, "")
    if response.is_redirect:
        hint = f" to {response.headers['Location']}; check --host, the token and the cookie"
    return ApiError(
        f"the API server returned HTTP status {status}: {_message(response)}{hint}",
        transient=status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def _message(response: requests.Response) -> str:
    """The gRPC `message`, the `error_message` of an upload, or the HTTP reason phrase."""
    try:
        body = response.json()
        message = body.get("message") or body.get("error_message")
    except (AttributeError, ValueError):
        message = None
    return " ".join(str(message or response.reason or "no reason given").split())
