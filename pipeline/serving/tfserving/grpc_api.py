"""TensorFlow Serving's gRPC API: Predict, GetModelMetadata and GetModelStatus.

The message classes come from the package `tensorflow-serving-api`, which imports TensorFlow. To
open the port immediately, handlers use bytes and import the classes only once a model is live. All
other methods return UNIMPLEMENTED.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message

from pipeline.serving.errors import RequestError, invalid
from pipeline.serving.limits import Limits
from pipeline.serving.live_model import LiveModel
from pipeline.serving.service import Service, run_without_blocking
from pipeline.serving.tfserving.servable import (
    check_instances,
    describe_status,
    find_model,
    predict,
    unknown_label,
)
from pipeline.serving.tfserving.tensor_json import Tensors, TensorSpec, check_shape

_log = logging.getLogger(__name__)
_CALLS = 1000
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_VALUE_FIELDS = {"float32": "float_val", "float64": "double_val", "int64": "int64_val"}

_Method = Callable[[bytes], Awaitable[Message]]


class GrpcApi:
    """The gRPC services of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def start(self, address: str) -> grpc.aio.Server:
        """Starts a server on an address, such as "127.0.0.1:8500", in the current event loop.

        Raises:
          RuntimeError: if the address can't be used.
        """
        most = self._service.limits.body_bytes
        options = [("grpc.max_receive_message_length", most), ("grpc.so_reuseport", 0)]
        server = grpc.aio.server(options=options, maximum_concurrent_rpcs=_CALLS)
        for name, methods in (
            ("PredictionService", [self._predict, self._get_model_metadata]),
            ("ModelService", [self._get_model_status]),
        ):
            handlers = {_camel_case(method): self._handler(method) for method in methods}
            handler = grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)
            server.add_generic_rpc_handlers([handler])
        server.add_insecure_port(address)
        await server.start()
        return server

    def _handler(self, method: _Method) -> grpc.RpcMethodHandler:
        """Wraps a method with metrics and the status codes of its errors."""

        async def handle(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
            began = time.perf_counter()
            code, message = grpc.StatusCode.CANCELLED, ""
            try:
                self._service.live_model()
                response = (await method(body)).SerializeToString()
                code = grpc.StatusCode.OK
            except RequestError as error:
                code, message = _CODES.get(error.status, grpc.StatusCode.INTERNAL), str(error)
            except DecodeError:
                code, message = grpc.StatusCode.INVALID_ARGUMENT, "Expected a protobuf message."
            except Exception:  # noqa: BLE001 - logged; the server continues
                _log.exception("gRPC call failed")
                code, message = grpc.StatusCode.INTERNAL, "Internal error: see the server's log."
            finally:
                seconds = time.perf_counter() - began
                metrics = self._service.metrics
                metrics.count_request(f"grpc{method.__name__}", code.name, seconds)
            if code is not grpc.StatusCode.OK:
                await context.abort(code, message)
            return response

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _predict(self, body: bytes) -> Message:
        from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

        request = PredictRequest.FromString(body)
        model = self._find_model(request.model_spec)
        name = request.model_spec.signature_name or "serving_default"
        specs = model.signature(name).inputs
        limits = self._service.limits
        inputs = await run_without_blocking(
            len(body), lambda: _read_inputs(request.inputs, specs, limits)
        )
        outputs = await predict(self._service, model, name, inputs, "grpc")
        wanted = request.output_filter or outputs
        if missing := sorted(set(wanted) - outputs.keys()):
            raise invalid(f"Expected an output_filter of {_list(outputs)}, received {missing[0]}")
        response = PredictResponse(model_spec=request.model_spec)
        response.model_spec.signature_name = name
        response.model_spec.version.value = model.version
        for output in wanted:
            response.outputs[output].CopyFrom(_write_tensor(outputs[output]))
        return response

    async def _get_model_metadata(self, body: bytes) -> Message:
        from tensorflow_serving.apis.get_model_metadata_pb2 import (
            GetModelMetadataRequest,
            GetModelMetadataResponse,
            SignatureDefMap,
        )

        request = GetModelMetadataRequest.FromString(body)
        model = self._find_model(request.model_spec)
        if set(request.metadata_field) != {"signature_def"}:
            received = _list(request.metadata_field)
            raise invalid(f"Expected the metadata_field signature_def, received {received}")
        response = GetModelMetadataResponse(model_spec=request.model_spec)
        response.model_spec.version.value = model.version
        signatures = ParseDict({"signature_def": model.signature_json}, SignatureDefMap())
        response.metadata["signature_def"].Pack(signatures)
        return response

    async def _get_model_status(self, body: bytes) -> Message:
        from tensorflow_serving.apis.get_model_status_pb2 import (
            GetModelStatusRequest,
            GetModelStatusResponse,
        )

        spec = GetModelStatusRequest.FromString(body).model_spec
        status = describe_status(self._service, spec.name, _version(spec))
        return ParseDict(status, GetModelStatusResponse())

    def _find_model(self, spec: Any) -> LiveModel:
        return find_model(self._service, spec.name, _version(spec))


def _camel_case(method: _Method) -> str:
    return method.__name__.title().replace("_", "")


def _version(spec: Any) -> int | None:
    """Returns the version in a ModelSpec; None if it has none."""
    if spec.version_label:
        raise unknown_label(spec.version_label)
    return spec.version.value if spec.HasField("version") else None


def _read_inputs(
    protos: Mapping[str, Any], specs: Mapping[str, TensorSpec], limits: Limits
) -> Tensors:
    if protos.keys() != specs.keys():
        raise invalid(f"Expected the inputs {_list(specs)}, received {_list(protos)}")
    return {name: _read_tensor(name, protos[name], spec, limits) for name, spec in specs.items()}


def _read_tensor(name: str, proto: Any, spec: TensorSpec, limits: Limits) -> npt.NDArray[Any]:
    """Reads a TensorProto. Limits the number of values, which can exceed the message's size."""
    import tensorflow as tf
    from tensorflow.core.framework import types_pb2

    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    check_shape(name, shape, spec)
    if proto.dtype != types_pb2.DataType.Value(f"DT_{spec.dtype.upper()}"):
        raise invalid(f"Expected tensor {name} of type {spec.dtype}")
    if spec.batched:
        check_instances(shape[0], limits.instances)
    most = limits.body_bytes
    if min(shape, default=0) < 0 or math.prod(shape) > most:
        raise invalid(f"Expected tensor {name} of at most {most} values, received {list(shape)}")
    try:
        array: npt.NDArray[Any] = tf.make_ndarray(proto)
    except (OverflowError, TypeError, ValueError) as error:
        raise invalid(f"Expected tensor {name} with the values of its shape: {error}") from error
    if "" in array.flat[:1].tolist():  # make_ndarray's default, not bytes
        raise invalid(f"Expected tensor {name} with the values of its shape, received none")
    return array


def _write_tensor(array: npt.NDArray[Any]) -> Any:
    """Creates a TensorProto with values in a typed field, like TensorFlow Serving."""
    import tensorflow as tf

    proto = tf.make_tensor_proto(array)
    field = _VALUE_FIELDS.get(array.dtype.name)
    if field and proto.tensor_content:
        proto.tensor_content = b""
        getattr(proto, field).extend(np.ravel(array).tolist())
    return proto


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
