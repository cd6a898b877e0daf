"""The ASGI application: routes, request metrics, and errors as JSON."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.errors import RequestError
from pipeline.serving.metrics import Metrics
from pipeline.serving.page_api import PageApi
from pipeline.serving.service import Service
from pipeline.serving.tfserving.rest_api import RestApi

_log = logging.getLogger(__name__)
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_CLIENT_GONE = 499
_TFSERVING_METRICS = "/monitoring/prometheus/metrics"
"""Default path of TensorFlow Serving's metrics, kept for existing Prometheus configurations."""


def make_app(service: Service) -> Starlette:
    """Creates the ASGI application of a server."""

    async def healthz(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse(f"version {service.live_model().version}\n")

    async def metrics(request: Request) -> Response:  # noqa: ARG001
        return Response(
            generate_latest(service.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    routes = [
        *PageApi(service).routes(),
        Route("/v1/{rest:path}", RestApi(service).handle, methods=_METHODS, name="model"),
        *(Route(f"/{check.__name__}", check) for check in (healthz, readyz, metrics)),
        Route(_TFSERVING_METRICS, metrics),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Measured, metrics=service.metrics)],
        exception_handlers=dict.fromkeys(
            (RequestError, HTTPException, ClientDisconnect, Exception), _error_response
        ),
    )


class _Measured:
    """Records metrics of each request and adds the headers common to all responses."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            self._metrics.count_request(_route_name(scope), status, time.perf_counter() - began)


def _route_name(scope: Scope) -> str:
    """Returns the label of the route for metrics. A label per path would exhaust memory."""
    if "route_name" in scope:
        return scope["route_name"]
    path = scope["path"]
    return "model" if path.startswith("/v1/") else _ROUTE_NAMES.get(path, "other")


_ROUTE_NAMES = {
    **{f"/{name}": name for name in ("healthz", "readyz", "metrics", "api/classify", "api/model")},
    **dict.fromkeys(("/", "/page.js", "/page.css"), "page"),
    _TFSERVING_METRICS: "metrics",
}


async def _error_response(request: Request, error: Exception) -> Response:
    headers: Mapping[str, str] | None = None
    if isinstance(error, RequestError):
        status, message, headers = error.status, str(error), error.headers
    elif isinstance(error, HTTPException):
        message = f"{error.detail}: {request.method} {request.url.path[:200]}"
        status, headers = error.status_code, error.headers
    elif isinstance(error, ClientDisconnect):
        status, message = _CLIENT_GONE, "The client closed the connection."
    else:
        status, message = 500, "Internal error: see the server's log."
    return JSONResponse({"error": message}, status, headers)
