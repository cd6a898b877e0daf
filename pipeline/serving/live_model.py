"""A loaded release, and its model's signatures."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.common.provenance import Data
from models.features import PROBABILITIES
from models.pictures import PictureError, open_picture
from pipeline.serving.batching import Work
from pipeline.serving.errors import invalid
from pipeline.serving.served_model import ServedModel
from pipeline.serving.tfserving.inference import run_signature
from pipeline.serving.tfserving.signatures import (
    Signature,
    describe_tensor,
    parse_signature,
    read_signatures,
)
from pipeline.serving.tfserving.tensor_json import Tensors

PICTURES = "pictures"
"""Name of the signature that this server adds, and of its input.

The signature accepts any picture, such as a photo, and prepares it in the same way as the page and
`predict`: with the data's picture_preprocessing, or by resizing and padding. In contrast, the
model's signature `serving_images` requires pictures in the data's picture_form. TensorFlow Serving
does not have this signature.
"""

DECLINED = "declined"
"""Second output of PICTURES: the reason why a picture does not clearly show one class, or ""."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A loaded release.

    Attributes:
      served: the model.
      signatures: the model's signatures and PICTURES, by name.
      signature_json: the same signatures, in the form of TensorFlow Serving's metadata.
    """

    served: ServedModel
    signatures: Mapping[str, Signature]
    signature_json: Mapping[str, Any]

    @property
    def version(self) -> int:
        """The version of the release."""
        return self.served.version

    @property
    def data(self) -> Data:
        """Facts about the data set of the release."""
        return self.served.data

    @property
    def accuracy(self) -> float | None:
        """Accuracy on the test split; None if unknown."""
        return self.served.release.metrics.get("accuracy") if self.served.release else None

    def adds(self, signature_name: str) -> bool:
        """Whether the server, not the model, provides this signature."""
        return signature_name == PICTURES and PICTURES not in self.served.signatures

    def work(self, signature_name: str, inputs: Tensors) -> Work:
        """Creates the work that runs one of the model's signatures, except PICTURES.

        Raises:
          RequestError: 400 if there is no such signature.
        """
        signature = self.signature(signature_name)
        sizes = {array.shape[:1] for array in inputs.values()}
        kind = None
        if signature.batched and len(sizes) == 1 and sizes != {()}:
            shapes = tuple((name, array.shape[1:]) for name, array in sorted(inputs.items()))
            kind = (self.version, signature_name, shapes)
        (size, *_) = *sizes.pop(), 1
        function = self.served.signatures[signature_name]
        return Work(
            lambda tensors: run_signature(function, signature.inputs, tensors), kind, inputs, size
        )

    def classify(self, images: npt.NDArray[np.uint8]) -> Work:
        """Creates the work that classifies images of shape (n, *data.image_shape)."""

        def run(tensors: Tensors) -> Tensors:
            return {PROBABILITIES: self.served.predict(tensors["images"])}

        return Work(run, (self.version, "images"), {"images": images}, len(images))

    def signature(self, name: str) -> Signature:
        """Returns a signature.

        Raises:
          RequestError: 400 if there is no such signature.
        """
        if name not in self.signatures:
            raise invalid(f'Serving signature name: "{name[:100]}" not found in signature def')
        return self.signatures[name]


def load_live_model(version_dir: Path) -> LiveModel:
    """Verifies, loads and warms up a release, which takes seconds.

    If warming up fails, the first requests are slow, but the model may work: this is only logged.

    Args:
      version_dir: directory of the version.

    Raises:
      ManifestError: if the files don't match the manifest.
      ServedModelError: if the model can't be loaded.
      OSError: if the version is deleted during loading.
    """
    served = ServedModel.load(version_dir)
    _warm_up(served, version_dir)
    own = read_signatures(version_dir)
    added = {PICTURES: _pictures_json(len(served.data.class_names))}
    signature_json = dict(sorted({**added, **own}.items()))
    signatures = {
        name: parse_signature(definition)
        for name, definition in signature_json.items()
        if name in served.signatures or name not in own
    }
    return LiveModel(served, signatures, signature_json)


def _warm_up(served: ServedModel, version_dir: Path) -> None:
    """Replays the release's warm-up requests, and classifies a picture."""
    from models.warm_up import replay_warm_up_requests, sample_image

    with _failure_logged(served.version):
        count = replay_warm_up_requests(version_dir, served.signatures)
        if count:
            _log.info("Replayed %d warm-up requests of version %d.", count, served.version)
    with _failure_logged(served.version), contextlib.suppress(PictureError):
        height, width, _ = served.data.image_shape
        encoded = io.BytesIO()
        # Larger than the data's images, which the preprocessing may leave as they are.
        Image.fromarray(sample_image((4 * height, 4 * width, 3))).save(encoded, "PNG")
        served.classify([served.prepare(open_picture(encoded.getvalue()))])


@contextlib.contextmanager
def _failure_logged(version: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - TensorFlow raises many types
        reason = " ".join(str(error).split())[:300]
        _log.warning("Version %d is served, but its warm-up failed: %s", version, reason)


def _pictures_json(classes: int) -> dict[str, Any]:
    return {
        "inputs": {PICTURES: describe_tensor("DT_STRING", [-1])},
        "outputs": {
            PROBABILITIES: describe_tensor("DT_FLOAT", [-1, classes]),
            DECLINED: describe_tensor("DT_STRING", [-1]),
        },
        "method_name": "added by mnist-pipeline serve; not part of the SavedModel",
        "defaults": {},
    }
