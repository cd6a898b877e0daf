"""Operations shared by TensorFlow Serving's REST and gRPC APIs."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.features import PROBABILITIES, SCORES
from pipeline.serving.errors import RequestError, invalid
from pipeline.serving.limits import check_pixels
from pipeline.serving.live_model import DECLINED, PICTURES, LiveModel
from pipeline.serving.service import Service
from pipeline.serving.tfserving.tensor_json import Tensors


def find_model(service: Service, name: str, version: int | None) -> LiveModel:
    """Returns the live model if it has this name and version; None accepts any version.

    Raises:
      RequestError: 404.
    """
    live = service.watcher.live
    if live is None or name != service.model_name or version not in (None, live.version):
        which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise RequestError(404, f"Servable not found for request: {which}")
    return live


async def predict(
    service: Service, model: LiveModel, signature_name: str, inputs: Tensors, source: str
) -> Tensors:
    """Runs a signature within the server's limits and counts the predictions.

    Args:
      service: state of the server.
      model: the live model.
      signature_name: one of its signatures.
      inputs: tensors that match the signature's specs.
      source: value of the metrics label `source`: `rest` or `grpc`.

    Raises:
      RequestError: 400 for too many instances or pixels, 503 if too many requests are waiting, or
        the status of the model's error.
    """
    if model.adds(signature_name):
        return await _classify_pictures(service, model, inputs[PICTURES].tolist(), source)
    outputs = await _run(service, model, signature_name, inputs)
    probabilities = outputs.get(PROBABILITIES, outputs.get(SCORES))
    names = model.data.class_names
    if probabilities is not None and probabilities.shape[1:] == (len(names),):
        service.metrics.count_predictions(probabilities, names, source)
    return outputs


async def _classify_pictures(
    service: Service, model: LiveModel, encoded: list[bytes], source: str
) -> Tensors:
    check_instances(len(encoded), service.limits.instances)
    _, predictions = await service.classify_pictures(model, encoded)
    service.metrics.count_pictures(predictions, model.data.class_names, source)
    declined = np.array([reason.encode() for reason in predictions.declined], object)
    return {PROBABILITIES: predictions.probabilities, DECLINED: declined}


async def _run(service: Service, model: LiveModel, signature_name: str, inputs: Tensors) -> Tensors:
    for array in inputs.values():
        if array.dtype == object:
            check_pixels(array.flat, service.limits.pixels)
    work = model.work(signature_name, inputs)
    check_instances(work.rows, service.limits.instances)
    return await service.batcher.submit(work)


def describe_status(service: Service, name: str, version: int | None) -> dict[str, Any]:
    """Returns a GetModelStatusResponse as protobuf's JSON; None selects all versions.

    Raises:
      RequestError: 404 if there is no such model or version.
    """
    statuses = service.watcher.statuses if name == service.model_name else {}
    if version is not None:
        if version not in statuses:
            raise RequestError(404, f"Could not find version {version} of model {name}")
        statuses = {version: statuses[version]}
    if not statuses:
        raise RequestError(404, f"Could not find any versions of model {name}")
    entries = [
        {
            "version": str(number),
            "state": status.state,
            "status": {"error_code": status.error_code, "error_message": status.error_message},
        }
        for number, status in statuses.items()
    ]
    return {"model_version_status": entries}


def unknown_label(label: str) -> RequestError:
    """Creates the error for a version label, which this server does not support."""
    return invalid("Unrecognized servable version label: ", label[:100])


def check_instances(received: int, most: int) -> None:
    """Checks the number of examples in a request.

    Raises:
      RequestError: 400.
    """
    if received > most:
        raise invalid(f"Expected at most {most} instances, received {received}: send fewer at once")
