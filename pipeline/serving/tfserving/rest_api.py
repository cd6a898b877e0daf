"""TensorFlow Serving's REST contract: https://www.tensorflow.org/tfx/serving/api_rest.

Paths, statuses and messages are those of
`tensorflow_serving/model_servers/http_rest_api_handler.cc`. `classify` and `regress` are refused as
it refuses them for a model without such signatures, and there are no version labels. One signature
is added: `pictures` (`pipeline.serving.live_model.PICTURES`).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from components.releases.versions import MAX_VERSION
from models.features import PROBABILITIES
from pipeline.serving.errors import RequestError, invalid
from pipeline.serving.limits import check_pixels, read_body
from pipeline.serving.live_model import DECLINED, PICTURES, LiveModel
from pipeline.serving.model_watcher import VersionStatus
from pipeline.serving.service import Service, run_here_or_aside
from pipeline.serving.tfserving.tensor_json import (
    Tensors,
    parse_request,
    read_inputs,
    write_outputs,
)

_MODEL = (
    r"(?i:/v1/models)/(?P<name>[^/:]+)"
    r"(?:/(?i:versions)/(?P<version>[0-9]+)|/(?i:labels)/(?P<label>[^/:]+))?"
)
_ASK = re.compile(_MODEL + r":(?P<method>(?i:classify|regress|predict))")
_LOOK = re.compile(_MODEL + r"(?P<metadata>(?i:/metadata))?")
_PREDICT = "tensorflow/serving/predict"
_METHODS = {"classify": "classification", "regress": "regression"}


class RestApi:
    """The routes below /v1."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, request: Request) -> Response:
        """Answers any request below /v1.

        Raises:
          RequestError: with TensorFlow Serving's status and message.
        """
        path = request.url.path
        pattern = {"POST": _ASK, "GET": _LOOK}.get(request.method)
        match = pattern.fullmatch(path) if pattern else None
        if request.method == "GET" and path.lower() == "/v1/models":
            raise invalid("Missing model name in request.")
        if match is None:
            raise invalid(f"Malformed request: {request.method} {path[:200]}")
        version = _version(match)
        name = match["name"]
        if request.method == "GET":
            return (
                self._metadata(name, version) if match["metadata"] else self._status(name, version)
            )
        method = match["method"].lower()
        request.scope["route_name"] = method
        if method == "predict":
            return await self._predict(request, name, version)
        model = self._model(name, version)
        method_name = model.signature_json["serving_default"]["method_name"] or _PREDICT
        raise invalid(
            f"Expected {_METHODS[method]} signature method_name to be "
            f"tensorflow/serving/{method}. Was: {method_name}"
        )

    async def _predict(self, request: Request, name: str, version: int | None) -> Response:
        limits = self._service.limits
        body = await read_body(request, limits.body_bytes)
        parsed = await run_here_or_aside(len(body), lambda: parse_request(body))
        model = self._model(name, version)
        specs = model.signature(parsed.signature_name).inputs
        inputs = await run_here_or_aside(len(body), lambda: read_inputs(parsed, specs))
        outputs = await self._outputs(model, parsed.signature_name, inputs)
        size = sum(array.size for array in outputs.values())
        answer = await run_here_or_aside(size, lambda: write_outputs(outputs, parsed.by_row))
        return Response(answer, media_type="application/json")

    async def _outputs(self, model: LiveModel, signature_name: str, inputs: Tensors) -> Tensors:
        if model.adds(signature_name):
            return await self._classify(model, inputs[PICTURES].tolist())
        for array in inputs.values():
            if array.dtype == object:
                check_pixels(array.flat, self._service.limits.pixels)
        work = model.work(signature_name, inputs)
        self._check_instances(work.rows)
        outputs = await self._service.batcher.submit(work)
        self._count(model, outputs)
        return outputs

    async def _classify(self, model: LiveModel, encoded: list[bytes]) -> Tensors:
        self._check_instances(len(encoded))
        _, found = await self._service.classify_pictures(model, encoded)
        self._service.metrics.count_pictures(found, model.data.class_names, "rest")
        declined = np.array([reason.encode() for reason in found.declined], object)
        return {PROBABILITIES: found.probabilities, DECLINED: declined}

    def _check_instances(self, received: int) -> None:
        most = self._service.limits.instances
        if received > most:
            raise invalid(
                f"Expected at most {most} instances, received {received}: send fewer at once"
            )

    def _count(self, model: LiveModel, outputs: Tensors) -> None:
        probabilities = outputs.get(PROBABILITIES)
        names = model.data.class_names
        if probabilities is not None and probabilities.shape[1:] == (len(names),):
            self._service.metrics.count_predictions(probabilities, names, "rest")

    def _model(self, name: str, version: int | None) -> LiveModel:
        """The live model, if it is the one that is asked for."""
        live = self._service.watcher.live
        if live is None or name != self._service.model_name or version not in (None, live.version):
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError(404, f"Servable not found for request: {which}")
        return live

    def _status(self, name: str, version: int | None) -> Response:
        statuses = self._service.watcher.statuses if name == self._service.model_name else {}
        if version is not None:
            if version not in statuses:
                raise RequestError(404, f"Could not find version {version} of model {name}")
            statuses = {version: statuses[version]}
        if not statuses:
            raise RequestError(404, f"Could not find any versions of model {name}")
        entries = [_status_json(number, status) for number, status in statuses.items()]
        return JSONResponse({"model_version_status": entries})

    def _metadata(self, name: str, version: int | None) -> Response:
        model = self._model(name, version)
        spec = {"name": name, "signature_name": "", "version": str(model.version)}
        definitions = {"signature_def": model.signature_json}
        return JSONResponse({"model_spec": spec, "metadata": {"signature_def": definitions}})


def _version(match: re.Match[str]) -> int | None:
    if match["label"] is not None:
        raise invalid("Unrecognized servable version label: ", match["label"][:100])
    if match["version"] is None:
        return None
    if len(match["version"]) > len(str(MAX_VERSION)) or int(match["version"]) > MAX_VERSION:
        raise invalid("Failed to convert version: ", match["version"][:100], " to numeric.")
    return int(match["version"])


def _status_json(version: int, status: VersionStatus) -> dict[str, Any]:
    return {
        "version": str(version),
        "state": status.state,
        "status": {"error_code": status.error_code, "error_message": status.error_message},
    }
