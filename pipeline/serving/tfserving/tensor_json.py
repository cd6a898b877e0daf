"""Converts between tensors and JSON like TensorFlow Serving, with the same error messages.

The format is specified at https://www.tensorflow.org/tfx/serving/api_rest. Unspecified details
follow `tensorflow_serving/util/json_tensor.cc`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.serving.errors import RequestError, invalid

MAX_RANK = 16
"""Deepest nesting of lists in a tensor."""

_DEBUG_CHARACTERS = 256
_BASE64_KEY = "b64"
_BYTES_SUFFIX = "_bytes"
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()
_FLOATS = {"float": np.float32, "double": np.float64}
_INTS: dict[str, type[np.signedinteger | np.unsignedinteger]] = {
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint32": np.uint32,
    "uint64": np.uint64,
}
_JSON_TYPES = {
    type(None): "Null",
    bool: "Bool",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}

Tensors = dict[str, npt.NDArray[Any]]
"""Tensors, keyed by their names in the signature. Strings are bytes in object arrays."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a signature.

    Attributes:
      dtype: name of TensorFlow's data type, such as float, int64 or string.
      shape: size of each dimension, or None for any size; None for unknown rank.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    @property
    def batched(self) -> bool:
        """Whether the first dimension is a batch dimension."""
        return self.shape is not None and self.shape[:1] == (None,)


@dataclass(frozen=True)
class PredictRequest:
    """The body of a `:predict` request.

    Attributes:
      signature_name: name of a signature.
      by_row: whether the response has rows (`predictions`) rather than columns (`outputs`).
      values: the JSON value of `instances` or `inputs`.
    """

    signature_name: str
    by_row: bool
    values: Any


def parse_request(body: bytes) -> PredictRequest:
    """Parses the body of a `:predict` request, except its tensors.

    Raises:
      RequestError: 400.
    """
    document = _parse(body)
    signature_name = document.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise invalid(
            _shown(document),
            " not formatted correctly. 'signature_name' key must be a string value.",
        )
    given = [key for key in ("instances", "inputs") if key in document]
    if not given:
        raise invalid("Missing 'inputs' or 'instances' key")
    if len(given) > 1:
        raise invalid(
            _shown(document),
            " Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        )
    by_row = given == ["instances"]
    values = document[given[0]]
    if by_row and not isinstance(values, list):
        raise invalid(_shown(document), " Expecting 'instances' to be an list/array")
    if by_row and not values:
        raise invalid(_shown(document), " No values in 'instances' array")
    return PredictRequest(signature_name or "serving_default", by_row, values)


def read_inputs(request: PredictRequest, specs: Mapping[str, TensorSpec]) -> Tensors:
    """Reads the tensors of a request.

    Args:
      request: from `parse_request`.
      specs: specs of the signature's inputs, by name; at least one.

    Raises:
      RequestError: 400.
    """
    tensors = (_read_rows if request.by_row else _read_columns)(request.values, specs)
    for name, spec in specs.items():
        check_shape(name, tensors[name].shape, spec)
    return tensors


def write_outputs(outputs: Tensors, by_row: bool) -> bytes:
    """Returns the body of a response.

    Raises:
      RequestError: 400 if rows are requested and the outputs have different numbers of rows.
    """
    columns = {name: _plain(name, array) for name, array in sorted(outputs.items())}
    if not by_row:
        (*_, bare), single = columns.values(), len(columns) == 1
        return json.dumps({"outputs": bare if single else columns}).encode()
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) != 1 or sizes == {()}:
        raise invalid("Outputs of this signature have no common batch size: use 'inputs'")
    if len(columns) == 1:
        (rows,) = columns.values()
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig")
        # Like TensorFlow Serving, ignore everything after the document.
        document, _ = _DECODER.raw_decode(text, len(text) - len(text.lstrip(_SPACE)))
    except json.JSONDecodeError as error:
        raise invalid("JSON Parse error: ", error.msg, " at offset: ", error.pos) from error
    except UnicodeDecodeError as error:
        raise invalid("JSON Parse error: Invalid UTF-8 at offset: ", error.start) from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise invalid("JSON Parse error: ", reason) from error
    if not isinstance(document, dict):
        raise invalid(_shown(document), " Is not object")
    return document


def _read_rows(rows: list[Any], specs: Mapping[str, TensorSpec]) -> Tensors:
    if len(specs) > 1 and not isinstance(rows[0], dict):
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = _is_named(rows[0])
    (first, *_) = specs
    values: dict[str, list[Any]] = {name: [] for name in specs}
    shapes: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(rows):
        if _is_named(row) != named:
            wanted, got = ("object", "list") if named else ("value/list", "object")
            raise invalid(f"Expecting {wanted} but got {got} at item {number} of input list")
        for name, value in (row if named else {first: row}).items():
            with _of_row(number, name if named else None):
                _add_row(name, value, specs, values, shapes)
        if named and row.keys() != specs.keys():
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: ",
                _shown(row),
                f" keys must be equal to: {','.join(sorted(specs))}",
            )
    return {
        name: _array(values[name], (len(rows), *shapes[name]), spec.dtype)
        for name, spec in specs.items()
    }


@contextmanager
def _of_row(number: int, key: str | None) -> Iterator[None]:
    """Adds the position in the request to error messages."""
    try:
        yield
    except RequestError as error:
        where = f"{number}" if key is None else f"{number} key: {key}"
        message = f"Failed to process element: {where} of 'instances' list. Error: "
        raise RequestError(error.status, f"{message}INVALID_ARGUMENT: {error}") from error


def _add_row(
    name: str,
    value: Any,
    specs: Mapping[str, TensorSpec],
    values: dict[str, list[Any]],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    if name not in specs:
        raise invalid("JSON object: does not have named input: ", name)
    shape = _shape(value)
    expected = shapes.setdefault(name, shape)
    _fill(value, 0, shape, specs[name].dtype, values[name])
    size, expected_size = math.prod(shape), math.prod(expected)
    if size != expected_size:
        raise invalid(f"Expecting tensor size: {expected_size} but got: {size}")
    if shape != expected:
        raise invalid(f"Expecting shape {_bracketed(expected)} but got: {_bracketed(shape)}")


def _read_columns(columns: Any, specs: Mapping[str, TensorSpec]) -> Tensors:
    if not _is_named(columns):
        if len(specs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        (name,) = specs
        columns = {name: columns}
    tensors = {}
    for name, spec in specs.items():
        if name not in columns:
            raise invalid("Missing named input: ", name, " in 'inputs' object.")
        shape = _shape(columns[name])
        values: list[Any] = []
        _fill(columns[name], 0, shape, spec.dtype, values)
        tensors[name] = _array(values, shape, spec.dtype)
    return tensors


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: dict[str, Any]) -> bool:
    return len(value) == 1 and isinstance(value.get(_BASE64_KEY), str)


def _shape(value: Any) -> tuple[int, ...]:
    """Infers the shape of nested lists from the first element of each."""
    sizes: list[int] = []
    while isinstance(value, list):
        sizes.append(len(value))
        if len(sizes) > MAX_RANK:
            raise invalid(f"Expecting lists nested at most {MAX_RANK} deep")
        value = value[0] if value else None
    return tuple(sizes)


def _fill(value: Any, level: int, shape: tuple[int, ...], dtype: str, values: list[Any]) -> None:
    """Appends the values of nested lists, which must have this shape."""
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                _shown(value),
                f" found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}",
            )
        values.append(_scalar(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, dtype, values)


def _scalar(value: Any, dtype: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if dtype == "string":
        return _string(value)
    if dtype in _FLOATS:
        fits = number
    elif dtype in _INTS:
        bounds = np.iinfo(_INTS[dtype])
        fits = number and isinstance(value, int) and bounds.min <= value <= bounds.max
    elif dtype == "bool":
        fits = isinstance(value, bool)
    else:
        raise RequestError(501, f"Conversion of {_shown(value)} to type: {dtype}")
    if not fits:
        raise _wrong_type(value, dtype)
    return value


def _string(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:  # The string has an unpaired surrogate.
            raise invalid("JSON Parse error: a string is not valid Unicode") from error
    if not isinstance(value, dict):
        raise _wrong_type(value, "string")
    if not _is_base64(value):
        raise invalid(_shown(value), " not formatted correctly for base64 data")
    text = "".join(value[_BASE64_KEY].split()).replace(".", "=")
    if "=" not in text:  # Padding may be missing, but not wrong.
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _wrong_type(value: Any, dtype: str) -> RequestError:
    kind = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return invalid(_shown(value), f" Type: {kind} is not of expected type: {dtype}")


def _array(values: list[Any], shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    if dtype == "string":
        array = np.empty(len(values), object)
        array[:] = values
        return array.reshape(shape)
    kind = _FLOATS.get(dtype) or _INTS.get(dtype) or np.bool_
    with np.errstate(over="ignore"):
        try:
            return np.array(values, kind).reshape(shape)
        except OverflowError as error:  # An integer exceeds the range of double.
            raise invalid(f"A number is too large for type: {dtype}") from error


def check_shape(name: str, shape: tuple[int, ...], spec: TensorSpec) -> None:
    """Checks the shape of an input.

    Raises:
      RequestError: 400 if it does not match the spec.
    """
    if spec.shape is None:
        return
    fits = len(shape) == len(spec.shape) and all(
        wanted in (None, size) for size, wanted in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        expected = _bracketed(tuple(-1 if size is None else size for size in spec.shape))
        raise invalid(f"Expecting tensor {name} of shape {expected} but got: {_bracketed(shape)}")


def _bracketed(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _shown(value: Any) -> str:
    """Returns the beginning of a value, for messages."""
    shown = ""
    for part in json.JSONEncoder().iterencode(value):
        shown += part[:_DEBUG_CHARACTERS]
        if len(shown) >= _DEBUG_CHARACTERS:
            break
    return f"JSON Value: {shown[:_DEBUG_CHARACTERS]}"


def _plain(name: str, array: npt.NDArray[Any]) -> Any:
    """Converts an array to JSON types."""
    values = array.tolist()
    return values if array.dtype != object else _texts(values, name.endswith(_BYTES_SUFFIX))


def _texts(value: Any, as_base64: bool) -> Any:
    """Converts nested lists of bytes to JSON types."""
    if isinstance(value, list):
        return [_texts(item, as_base64) for item in value]
    if as_base64:
        return {_BASE64_KEY: base64.b64encode(value).decode()}
    return value.decode(errors="replace")
