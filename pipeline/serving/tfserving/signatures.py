"""Reads the signatures of a SavedModel, as TensorFlow Serving's metadata and as tensor specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.releases.versions import SAVED_MODEL
from pipeline.serving.tfserving.tensor_json import TensorSpec


@dataclass(frozen=True)
class Signature:
    """Names and specs of a signature's inputs and outputs."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    @property
    def batched(self) -> bool:
        """Whether the first dimension of all inputs and outputs can be a batch dimension.

        For an input of unknown rank, this is only certain from the number of output rows.
        """
        inputs = (spec.shape is None or spec.batched for spec in self.inputs.values())
        return all(inputs) and all(spec.batched for spec in self.outputs.values())


def read_signatures(version_dir: Path) -> dict[str, Any]:
    """Reads the signatures of a SavedModel, by name, as protobuf JSON with all fields.

    Raises:
      OSError: if the file can't be read.
    """
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((version_dir / SAVED_MODEL).read_bytes())
    definitions = saved_model.meta_graphs[0].signature_def
    return {
        name: _with_all_fields(
            json_format.MessageToDict(definitions[name], preserving_proto_field_name=True)
        )
        for name in sorted(definitions)
    }


def parse_signature(definition: Mapping[str, Any]) -> Signature:
    """Parses one of the signatures that `read_signatures` returns."""
    return Signature(_specs(definition["inputs"]), _specs(definition["outputs"]))


def describe_tensor(dtype: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Describes a tensor like `read_signatures`. `dtype`: such as "DT_STRING"; size -1: any."""
    dims = [{"size": str(size)} for size in sizes]
    return _tensor({"dtype": dtype, "tensor_shape": {"dim": dims}})


def _with_all_fields(definition: dict[str, Any]) -> dict[str, Any]:
    """Adds empty fields, because TensorFlow Serving includes them."""
    return {
        "inputs": {name: _tensor(info) for name, info in definition.get("inputs", {}).items()},
        "outputs": {name: _tensor(info) for name, info in definition.get("outputs", {}).items()},
        "method_name": definition.get("method_name", ""),
        "defaults": definition.get("defaults", {}),
    }


def _tensor(info: dict[str, Any]) -> dict[str, Any]:
    shape = info.get("tensor_shape", {})
    dims = [
        {"size": dim.get("size", "0"), "name": dim.get("name", "")} for dim in shape.get("dim", [])
    ]
    return {
        "dtype": info.get("dtype", "DT_INVALID"),
        "tensor_shape": {"dim": dims, "unknown_rank": shape.get("unknown_rank", False)},
        "name": info.get("name", ""),
    }


def _specs(tensors: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec(tensor) for name, tensor in sorted(tensors.items())}


def _spec(tensor: Mapping[str, Any]) -> TensorSpec:
    shape = tensor["tensor_shape"]
    sizes = [int(dim["size"]) for dim in shape["dim"]]
    return TensorSpec(
        dtype=tensor["dtype"].removeprefix("DT_").lower(),
        shape=None
        if shape["unknown_rank"]
        else tuple(None if size < 0 else size for size in sizes),
    )
