"""Writes warm-up requests for the tests' own models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from models.warm_up import WARM_UP_FILE


def predict_request(signature_name: str, **inputs: Any) -> PredictRequest:
    request = PredictRequest()
    request.model_spec.signature_name = signature_name
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def write_requests(saved_model: Path, requests: Iterable[PredictRequest]) -> None:
    """Adds a file of warm-up requests to a SavedModel."""
    path = saved_model / WARM_UP_FILE
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            log = PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
