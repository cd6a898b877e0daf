"""TensorFlow Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest.

Paths, statuses and messages match
`tensorflow_serving/model_servers/http_rest_api_handler.cc`. `classify` and `regress` return the
error of TensorFlow Serving for a model without such signatures. Version labels are not supported.
The signature `pictures` is an addition (`pipeline.serving.live_model.PICTURES`).
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from components.releases.versions import MAX_VERSION
from pipeline.serving.errors import invalid
from pipeline.serving.limits import read_body
from pipeline.serving.service import Service, run_without_blocking
from pipeline.serving.tfserving.servable import (
    describe_status,
    find_model,
    predict,
    unknown_label,
)
from pipeline.serving.tfserving.tensor_json import parse_request, read_inputs, write_outputs

_MODEL = (
    r"(?i:/v1/models)/(?P<name>[^/:]+)"
    r"(?:/(?i:versions)/(?P<version>[0-9]+)|/(?i:labels)/(?P<label>[^/:]+))?"
)
_RUN_PATH = re.compile(_MODEL + r":(?P<method>(?i:classify|regress|predict))")
_INFO_PATH = re.compile(_MODEL + r"(?P<metadata>(?i:/metadata))?")
_PREDICT = "tensorflow/serving/predict"
_METHODS = {"classify": "classification", "regress": "regression"}


class RestApi:
    """The routes below /v1."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, request: Request) -> Response:
        """Handles all requests below /v1.

        Raises:
          RequestError: with TensorFlow Serving's status and message.
        """
        path = request.url.path
        pattern = {"POST": _RUN_PATH, "GET": _INFO_PATH}.get(request.method)
        match = pattern.fullmatch(path) if pattern else None
        if request.method == "GET" and path.lower() == "/v1/models":
            raise invalid("Missing model name in request.")
        if match is None:
            raise invalid(f"Malformed request: {request.method} {path[:200]}")
        version = _version(match)
        name = match["name"]
        if request.method == "GET":
            if match["metadata"]:
                return self._metadata(name, version)
            return JSONResponse(describe_status(self._service, name, version))
        method = match["method"].lower()
        request.scope["route_name"] = method
        if method == "predict":
            return await self._predict(request, name, version)
        model = find_model(self._service, name, version)
        method_name = model.signature_json["serving_default"]["method_name"] or _PREDICT
        raise invalid(
            f"Expected {_METHODS[method]} signature method_name to be "
            f"tensorflow/serving/{method}. Was: {method_name}"
        )

    async def _predict(self, request: Request, name: str, version: int | None) -> Response:
        limits = self._service.limits
        body = await read_body(request, limits.body_bytes)
        parsed = await run_without_blocking(len(body), lambda: parse_request(body))
        model = find_model(self._service, name, version)
        specs = model.signature(parsed.signature_name).inputs
        inputs = await run_without_blocking(len(body), lambda: read_inputs(parsed, specs))
        outputs = await predict(self._service, model, parsed.signature_name, inputs, "rest")
        size = sum(array.size for array in outputs.values())
        content = await run_without_blocking(size, lambda: write_outputs(outputs, parsed.by_row))
        return Response(content, media_type="application/json")

    def _metadata(self, name: str, version: int | None) -> Response:
        model = find_model(self._service, name, version)
        spec = {"name": name, "signature_name": "", "version": str(model.version)}
        definitions = {"signature_def": model.signature_json}
        return JSONResponse({"model_spec": spec, "metadata": {"signature_def": definitions}})


def _version(match: re.Match[str]) -> int | None:
    if match["label"] is not None:
        raise unknown_label(match["label"])
    if match["version"] is None:
        return None
    if len(match["version"]) > len(str(MAX_VERSION)) or int(match["version"]) > MAX_VERSION:
        raise invalid("Failed to convert version: ", match["version"][:100], " to numeric.")
    return int(match["version"])
