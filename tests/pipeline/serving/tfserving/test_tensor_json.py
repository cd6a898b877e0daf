"""TensorFlow Serving's JSON format, with the messages of its `json_tensor.cc`."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

from pipeline.serving.errors import RequestError
from pipeline.serving.tfserving.tensor_json import (
    MAX_RANK,
    Tensors,
    TensorSpec,
    parse_request,
    read_inputs,
    write_outputs,
)

TEXTS = {"text": TensorSpec("string", (None,))}
NUMBERS = {"x": TensorSpec("float", (None, 2))}
ANY_RANK = {"x": TensorSpec("float", None)}
TWO = {"n": TensorSpec("int64", (None,)), "x": TensorSpec("float", (None, 2))}


def read(body: object, specs: dict[str, TensorSpec]) -> Tensors:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_inputs(parse_request(raw), specs)


def listed(tensors: Tensors) -> dict[str, Any]:
    return {name: array.tolist() for name, array in tensors.items()}


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("body", "specs", "expected"),
    [
        ({"instances": [b64(b"\xff\x00"), "ü"]}, TEXTS, {"text": [b"\xff\x00", b"\xc3\xbc"]}),
        ({"instances": [{"text": b64(b"a")}, {"text": "b"}]}, TEXTS, {"text": [b"a", b"b"]}),
        ({"inputs": [b64(b"a"), "b"]}, TEXTS, {"text": [b"a", b"b"]}),
        ({"inputs": {"text": ["a"]}}, TEXTS, {"text": [b"a"]}),
        ({"inputs": []}, TEXTS, {"text": []}),
        ({"inputs": b64(b"a")}, {"text": TensorSpec("string", ())}, {"text": b"a"}),
        ({"instances": [[1, 2.5]]}, NUMBERS, {"x": [[1.0, 2.5]]}),
        ({"instances": [{"x": [1, 2], "n": 3}]}, TWO, {"x": [[1.0, 2.0]], "n": [3]}),
        ({"inputs": {"x": [[1, 2]], "n": [3], "more": 0}}, TWO, {"x": [[1.0, 2.0]], "n": [3]}),
        ({"instances": [True]}, {"b": TensorSpec("bool", (None,))}, {"b": [True]}),
        ({"instances": [[[7]]]}, ANY_RANK, {"x": [[[7.0]]]}),
        ({"instances": [0.5, 1]}, ANY_RANK, {"x": [0.5, 1.0]}),
        ({"inputs": 1}, ANY_RANK, {"x": 1.0}),
    ],
)
def test_tensors_are_read_by_row_and_by_column(
    body: object, specs: dict[str, TensorSpec], expected: dict[str, Any]
) -> None:
    assert listed(read(body, specs)) == expected


def test_tensors_have_the_types_of_the_signature() -> None:
    tensors = read({"instances": [{"x": [1, 2], "n": 2**62 + 1}]}, TWO)
    assert {name: array.dtype for name, array in tensors.items()} == {
        "x": np.float32,
        "n": np.int64,
    }
    assert tensors["n"][0] == 2**62 + 1, "not rounded to a float"


def test_nan_and_infinity_are_read() -> None:
    (row,) = read(b'{"instances": [[NaN, -Infinity]]}', NUMBERS)["x"].tolist()
    assert math.isnan(row[0])
    assert row[1] == -math.inf


@pytest.mark.parametrize("text", ["YWI=", "YWI", "YWI.", "Y W\nI"])
def test_padding_and_space_of_base64_are_optional(text: str) -> None:
    assert listed(read({"instances": [{"b64": text}]}, TEXTS)) == {"text": [b"ab"]}


def test_the_default_signature_is_serving_default() -> None:
    assert parse_request(b'{"instances": [1]}').signature_name == "serving_default"
    named = parse_request(b'{"signature_name": "other", "inputs": 1}')
    assert (named.signature_name, named.by_row) == ("other", False)


def test_text_after_the_document_is_ignored() -> None:
    assert listed(read(b'\xef\xbb\xbf \n{"instances": ["a"]} }', TEXTS)) == {"text": [b"a"]}


DEEP = b"[" * 100_000
WRONG: list[tuple[object, dict[str, TensorSpec], str]] = [
    (b"", TEXTS, "JSON Parse error: The document is empty"),
    (b"{", TEXTS, "JSON Parse error: .* at offset: 1"),
    (b'{"instances": ["\xff"]}', TEXTS, "JSON Parse error: Invalid UTF-8 at offset: 16"),
    (DEEP, TEXTS, "JSON Parse error: nested too deeply"),
    (b'{"a": ' * 100_000, TEXTS, "JSON Parse error: nested too deeply"),
    (b'{"instances": [' + b"9" * 5000 + b"]}", TEXTS, "is not of expected type|JSON Parse error"),
    (b'{"instances": [' + b"9" * 400 + b"]}", {"x": TensorSpec("float", (None,))}, "too large"),
    ([1], TEXTS, r"JSON Value: \[1\] Is not object"),
    ({}, TEXTS, "Missing 'inputs' or 'instances' key"),
    ({"inputs": [], "instances": []}, TEXTS, "expecting only one of 'inputs' or 'instances'"),
    ({"signature_name": 1, "inputs": []}, TEXTS, "'signature_name' key must be a string value"),
    ({"instances": "a"}, TEXTS, "Expecting 'instances' to be an list/array"),
    ({"instances": []}, TEXTS, "No values in 'instances' array"),
    ({"instances": [1]}, TEXTS, "element: 0 of .* JSON Value: 1 Type: Number is not .*: string"),
    ({"instances": [None]}, TEXTS, "Type: Null is not of expected type: string"),
    ({"instances": ["a", ["b"]]}, TEXTS, r"element: 1 .* Expecting shape \[\] but got: \[1\]"),
    ({"instances": [[1], [1, 2]]}, ANY_RANK, "Expecting tensor size: 1 but got: 2"),
    ({"instances": [[[1], [2]], [1, 2]]}, ANY_RANK, r"Expecting shape \[2,1\] but got: \[2\]"),
    ({"instances": [["a"], ["b"]]}, TEXTS, r"text of shape \[-1\] but got: \[2,1\]"),
    ({"inputs": "a"}, TEXTS, r"text of shape \[-1\] but got: \[\]"),
    ({"instances": [{"b64": "?"}]}, TEXTS, "Unable to base64 decode"),
    ({"instances": [{"b64": "YQ=a"}]}, TEXTS, "Unable to base64 decode"),
    ({"instances": [{"b64": 1}]}, TEXTS, "does not have named input: b64"),
    ({"instances": [{"text": {"b64": 1}}]}, TEXTS, "not formatted correctly for base64 data"),
    (b'{"instances": ["\\ud800"]}', TEXTS, "not valid Unicode"),
    ({"instances": [{"other": "a"}]}, TEXTS, "does not have named input: other"),
    ({"instances": [{}]}, TWO, "keys must be equal to: n,x"),
    ({"instances": [{"n": 1}]}, TWO, "keys must be equal to: n,x"),
    ({"instances": [1]}, TWO, "expecting list of objects as multiple input tensors"),
    ({"instances": [{"text": "a"}, "b"]}, TEXTS, "Expecting object but got list at item 1"),
    ({"instances": ["a", {"text": "b"}]}, TEXTS, "Expecting value/list but got object at item 1"),
    ({"inputs": [1]}, TWO, "expecting an object as multiple input tensors"),
    ({"inputs": {"n": [1]}}, TWO, "Missing named input: x in 'inputs' object"),
    ({"instances": [[1, 2, 3]]}, NUMBERS, r"x of shape \[-1,2\] but got: \[1,3\]"),
    ({"instances": [[[1], [2, 3]]]}, NUMBERS, "list at unexpected size: 2 at level: 1 .* size: 1"),
    ({"instances": [[1, [2]]]}, NUMBERS, "list at unexpected level: 1 expected < 1"),
    ({"instances": [[[1], 2]]}, NUMBERS, "found at incorrect level: 2 in the JSON DOM"),
    ({"instances": [["1", 2]]}, NUMBERS, 'JSON Value: "1" Type: String is not .*: float'),
    ({"instances": [[True, 2]]}, NUMBERS, "Type: True is not of expected type: float"),
    ({"inputs": {"n": [1.0], "x": [[1, 2]]}}, TWO, "JSON Value: 1.0 .* expected type: int64"),
    ({"inputs": [300]}, {"b": TensorSpec("uint8", (None,))}, "JSON Value: 300 .* type: uint8"),
    ({"inputs": [0]}, {"b": TensorSpec("bool", (None,))}, "JSON Value: 0 .* type: bool"),
    (b'{"inputs": ' + b"[" * 40 + b"]" * 40 + b"}", NUMBERS, f"nested at most {MAX_RANK} deep"),
]


@pytest.mark.parametrize(("body", "specs", "message"), WRONG, ids=[case[2] for case in WRONG])
def test_errors_describe_the_problem(
    body: object, specs: dict[str, TensorSpec], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as raised:
        read(body, specs)
    assert raised.value.status == 400
    assert len(str(raised.value)) < 600


def test_types_without_a_json_form_are_not_implemented() -> None:
    with pytest.raises(RequestError, match="Conversion of JSON Value: 1 to type: half") as raised:
        read({"inputs": [1]}, {"x": TensorSpec("half", (None,))})
    assert raised.value.status == 501


@pytest.mark.parametrize(
    ("outputs", "by_row", "expected"),
    [
        ({"p": np.array([[0.5, 1.0]], np.float32)}, True, {"predictions": [[0.5, 1.0]]}),
        ({"p": np.array([[0.5, 1.0]], np.float32)}, False, {"outputs": [[0.5, 1.0]]}),
        (
            {"b": np.array([1, 2]), "a": np.array([[3.0], [4.0]])},
            True,
            {"predictions": [{"a": [3.0], "b": 1}, {"a": [4.0], "b": 2}]},
        ),
        (
            {"b": np.array([1, 2]), "a": np.array(3.0)},
            False,
            {"outputs": {"a": 3.0, "b": [1, 2]}},
        ),
        ({"t": np.array([[b"\xc3\xbc"]], object)}, True, {"predictions": [["ü"]]}),
        ({"t_bytes": np.array([b"\xff"], object)}, True, {"predictions": [b64(b"\xff")]}),
        ({"p": np.zeros((0, 10), np.float32)}, False, {"outputs": []}),
    ],
)
def test_outputs_are_written_by_row_and_by_column(
    outputs: Tensors, by_row: bool, expected: object
) -> None:
    assert json.loads(write_outputs(outputs, by_row)) == expected


def test_outputs_without_a_common_batch_size_have_no_rows() -> None:
    outputs = {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)}
    with pytest.raises(RequestError, match="use 'inputs'"):
        write_outputs(outputs, by_row=True)
