"""A release in memory, as the server asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.releases.manifest import (
    RELEASE_FILE,
    ManifestError,
    Release,
    read_release,
    release_problems,
)
from models.features import PROBABILITIES
from pipeline.serving.batching import Work
from pipeline.serving.errors import RequestError, invalid
from pipeline.serving.served_model import ServedModel, ServedModelError
from pipeline.serving.tfserving.tensor_json import Tensors, TensorSpec

# As TensorFlow Serving turns the errors of its runtime into statuses of HTTP.
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


class DamagedReleaseError(Exception):
    """A release is not what its manifest says."""


@dataclass(frozen=True)
class Signature:
    """What a model can be asked: names and kinds of its inputs and outputs."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A loaded release.

    Attributes:
      version: its number.
      release: its manifest, None if it has none.
      signatures: by name.
      signature_json: the same, as TensorFlow Serving's metadata has them.
    """

    version: int
    release: Release | None
    signatures: Mapping[str, Signature]
    signature_json: Mapping[str, Any]
    _served: ServedModel

    @property
    def accuracy(self) -> float | None:
        """On the test images, when the model was evaluated; None if that is not known."""
        return self.release.metrics.get("accuracy") if self.release else None

    def work(self, signature_name: str, inputs: Tensors) -> Work:
        """What is to be done to answer a request.

        Raises:
          RequestError: 400, if there is no such signature.
        """
        signature = self.signature(signature_name)
        specs = [*signature.inputs.values(), *signature.outputs.values()]
        sizes = {array.shape[:1] for array in inputs.values()}
        kind = None
        if all(spec.batched for spec in specs) and len(sizes) == 1:
            shapes = tuple((name, array.shape[1:]) for name, array in sorted(inputs.items()))
            kind = (self.version, signature_name, shapes)
        (size, *_) = *sizes.pop(), 1
        return Work(lambda tensors: self._run(signature_name, tensors), kind, inputs, size)

    def classify(self, image: npt.NDArray[np.uint8]) -> Work:
        """The work of classifying one image of shape (28, 28)."""

        def run(tensors: Tensors) -> Tensors:
            return {PROBABILITIES: self._served.predict(tensors["images"])}

        return Work(run, (self.version, "images"), {"images": image[np.newaxis]}, 1)

    def signature(self, name: str) -> Signature:
        """Looks a signature up.

        Raises:
          RequestError: 400, if there is none.
        """
        if name not in self.signatures:
            raise invalid(f'Serving signature name: "{name[:100]}" not found in signature def')
        return self.signatures[name]

    def _run(self, signature_name: str, inputs: Tensors) -> Tensors:
        import tensorflow as tf

        specs = self.signatures[signature_name].inputs
        tensors = {
            name: tf.constant(array, _tensorflow_name(specs[name].dtype))
            for name, array in inputs.items()
        }
        try:
            outputs = self._served.signatures[signature_name](**tensors)
        except tf.errors.OpError as error:
            raise _request_error(error) from error
        except UnicodeDecodeError as error:
            # TensorFlow's message quotes an input that is no text, so that Python can't read it.
            raise invalid(_one_line(error.object.decode(errors="replace"))) from error
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def load_live_model(version_dir: Path) -> LiveModel:
    """Verifies, loads and tries a release, which takes seconds.

    A SavedModel without a manifest, which another tool has pushed, is taken as it is.

    Args:
      version_dir: of the version.

    Raises:
      DamagedReleaseError: if its files are not those of its manifest.
      ServedModelError: if it can't be loaded.
    """
    release = None
    if (version_dir / RELEASE_FILE).exists():
        try:
            problems = release_problems(version_dir)
            release = read_release(version_dir)
        except (ManifestError, OSError) as error:
            raise DamagedReleaseError(str(error)) from error
        if problems:
            raise DamagedReleaseError(
                f"The release is damaged: {', '.join(problems[:3])}. Push the model again."
            )
    served = ServedModel.load(version_dir)
    signature_json = _read_signatures(version_dir)
    signatures = {
        name: Signature(_specs(described["inputs"]), _specs(described["outputs"]))
        for name, described in signature_json.items()
        if name in served.signatures
    }
    return LiveModel(served.version, release, signatures, signature_json, served)


def _read_signatures(version_dir: Path) -> dict[str, Any]:
    """The signatures in a SavedModel, as protobuf's JSON, with all fields."""
    from google.protobuf import json_format
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString((version_dir / "saved_model.pb").read_bytes())
    except OSError as error:  # It was there a moment ago.
        raise ServedModelError(f"Can't read {version_dir}: {error.strerror}") from error
    definitions: dict[str, meta_graph_pb2.SignatureDef] = dict(
        saved_model.meta_graphs[0].signature_def
    )
    return {
        name: _with_all_fields(
            json_format.MessageToDict(definition, preserving_proto_field_name=True)
        )
        for name, definition in sorted(definitions.items())
    }


def _with_all_fields(definition: dict[str, Any]) -> dict[str, Any]:
    """Adds the fields that are empty, which TensorFlow Serving prints."""
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


def _tensorflow_name(dtype: str) -> str:
    return {"float": "float32", "double": "float64"}.get(dtype, dtype)


def _request_error(error: Any) -> RequestError:
    import tensorflow as tf

    name = next(
        (name for name in _STATUSES if getattr(tf.errors, name) == error.error_code), "INTERNAL"
    )
    return RequestError(_STATUSES.get(name, 500), _one_line(error.message))


def _one_line(message: str) -> str:
    return " ".join(message.split())[:_MESSAGE_CHARACTERS]
