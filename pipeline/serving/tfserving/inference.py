"""Runs signatures and maps TensorFlow's errors to HTTP statuses, like TensorFlow Serving."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.serving.errors import RequestError, invalid
from pipeline.serving.tfserving.tensor_json import Tensors, TensorSpec

_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
_MESSAGE_CHARACTERS = 500
_GRAPH_NAMES = re.compile(
    r"Graph execution error:.*?<stack traces unavailable>"
    r"|\{\{function_node .*?\}\}|\[\[\{\{node .*?\}\}\]\]|\[Op:\w+\]",
    re.DOTALL,
)
"""Matches graph node names in TensorFlow's messages, which are irrelevant to clients."""


def run_signature(
    function: Callable[..., Any], specs: Mapping[str, TensorSpec], inputs: Tensors
) -> Tensors:
    """Runs a signature of a loaded SavedModel.

    Args:
      function: the signature.
      specs: specs of the signature's inputs.
      inputs: tensors that match the specs.

    Raises:
      RequestError: if the model fails on these inputs.
    """
    import tensorflow as tf

    tensors = {name: tf.constant(array, specs[name].dtype) for name, array in inputs.items()}
    try:
        outputs = function(**tensors)
    except tf.errors.OpError as error:
        raise _request_error(error) from error
    except UnicodeDecodeError as error:
        # TensorFlow's message quotes bytes of the input that are not UTF-8.
        raise invalid(_one_line(error.object.decode(errors="replace"))) from error
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def _request_error(error: Any) -> RequestError:
    import tensorflow as tf

    name = next(
        (name for name in _STATUSES if getattr(tf.errors, name) == error.error_code), "INTERNAL"
    )
    return RequestError(_STATUSES.get(name, 500), _one_line(error.message))


def _one_line(message: str) -> str:
    return " ".join(_GRAPH_NAMES.sub("", message).split())[:_MESSAGE_CHARACTERS]
