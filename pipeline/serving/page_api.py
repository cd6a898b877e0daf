"""The web page: its static files and its two API routes."""

from __future__ import annotations

import base64
import io
import mimetypes
from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from components.common.provenance import Data
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


class PageApi:
    """The routes of the page."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Returns the routes."""
        return [
            *(_file_route(path, name) for path, name in _FILES.items()),
            Route("/api/classify", self.classify, methods=["POST"]),
            Route("/api/model", self.describe_model, methods=["GET"]),
        ]

    async def classify(self, request: Request) -> Response:
        """Classifies the picture in the request's body.

        `declined` in the response is the reason why the picture does not clearly show one class, or
        null. The label is always the model's best guess.

        Raises:
          RequestError: 400 if the body is not a picture or the picture is blank, 503 if no model is
            loaded yet.
        """
        body = await read_body(request, self._service.limits.body_bytes)
        model = self._service.live_model()
        (prepared,), found = await self._service.classify_pictures(model, [body])
        self._service.metrics.count_pictures(found, model.data.class_names, "page")
        label = int(found.probabilities[0].argmax())
        return JSONResponse(
            {
                "label": label,
                "class_name": model.data.class_names[label],
                "probabilities": found.probabilities[0].tolist(),
                "declined": found.declined[0] or None,
                "image": _data_uri(prepared.views[0]),
                "version": str(model.version),
            }
        )

    async def describe_model(self, request: Request) -> Response:  # noqa: ARG002
        """Describes the live model. Without one, describes the data set, with version null.

        The signature `serving_images` expects pictures in the data's `picture_form`. A
        `picture_preprocessing` converts any picture to this form on the page, in `predict` and in
        the signature `pictures`.
        """
        model = self._service.watcher.live
        data = model.data if model else Data(source=None, fingerprint=None, counts={})
        release = model.served.release if model else None
        described = {
            "model": self._service.model_name,
            "version": str(model.version) if model else None,
            "accuracy": model.accuracy if model else None,
            "created": release.created.isoformat() if release else None,
            "loading": self._service.watcher.loading,
            **data.model_dump(exclude={"source", "fingerprint", "counts"}),
        }
        return JSONResponse(described, headers={"Cache-Control": "no-store"})


def _file_route(path: str, name: str) -> Route:
    file = resources.files("pipeline.serving") / "page" / name
    content = file.read_bytes()
    media_type = mimetypes.guess_type(name)[0]

    async def send_file(request: Request) -> Response:  # noqa: ARG001
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(path, send_file, methods=["GET"], name="page")


def _data_uri(image: npt.NDArray[np.uint8]) -> str:
    """Encodes an image of shape (height, width, 1 or 3) as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
