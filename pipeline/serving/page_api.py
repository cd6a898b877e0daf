"""The page to draw on: its files, and what it asks."""

from __future__ import annotations

import base64
import io
import mimetypes
from importlib import resources
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import numpy.typing as npt
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from models.digits.framing import DigitImageError, open_image, to_mnist
from models.features import PROBABILITIES
from pipeline.serving.errors import RequestError, invalid
from pipeline.serving.limits import read_body
from pipeline.serving.service import Service

_FILES = {"/": "index.html", "/page.js": "page.js", "/page.css": "page.css"}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_DECODERS = 2
"""Pictures that are decoded at once: each may take much memory."""


class PageApi:
    """The page's routes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._decoders = anyio.CapacityLimiter(_DECODERS)

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            *(_file_route(path, name) for path, name in _FILES.items()),
            Route("/api/digit", self.classify_digit, methods=["POST"]),
            Route("/api/model", self.describe_model, methods=["GET"]),
        ]

    async def classify_digit(self, request: Request) -> Response:
        """Classifies a picture of a digit, which is the body, after bringing it to MNIST's form.

        Raises:
          RequestError: 400 if it is none, 503 if there is no model yet.
        """
        limits = self._service.limits
        body = await read_body(request, limits.body_bytes)
        try:
            image = await anyio.to_thread.run_sync(
                lambda: to_mnist(open_image(body, limits.pixels)), limiter=self._decoders
            )
        except DigitImageError as error:
            raise invalid(error) from error
        model = self._service.watcher.live
        if model is None:
            raise RequestError(503, "No model is loaded yet.", {"Retry-After": "1"})
        outputs = await self._service.batcher.submit(model.classify(image))
        probabilities = outputs[PROBABILITIES]
        self._service.metrics.count_predictions(probabilities, "page")
        return JSONResponse(
            {
                "digit": int(probabilities[0].argmax()),
                "probabilities": probabilities[0].tolist(),
                "image": _data_uri(image),
                "version": str(model.version),
            }
        )

    async def describe_model(self, request: Request) -> Response:  # noqa: ARG002
        """Says which model answers."""
        model = self._service.watcher.live
        described: dict[str, Any] = {"model": self._service.model_name, "version": None}
        if model is not None:
            described["version"] = str(model.version)
            described["accuracy"] = model.accuracy
            if model.release is not None:
                described["created"] = model.release.created.isoformat()
        return JSONResponse(described, headers={"Cache-Control": "no-store"})


def _file_route(path: str, name: str) -> Route:
    file = resources.files("pipeline.serving") / "page" / name
    content = file.read_bytes()
    media_type = mimetypes.guess_type(name)[0]

    async def answer(request: Request) -> Response:  # noqa: ARG001
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(path, answer, methods=["GET"], name="page")


def _data_uri(image: npt.NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
