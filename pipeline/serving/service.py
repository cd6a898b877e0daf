"""State shared by the routes: the live model, its queue, and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.to_thread
import numpy as np

from models.features import PROBABILITIES
from models.pictures import PictureError, PredictionError, Predictions, Prepared, open_picture
from pipeline.serving.batching import Batcher
from pipeline.serving.errors import RequestError, invalid
from pipeline.serving.limits import Limits
from pipeline.serving.live_model import LiveModel
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_watcher import ModelWatcher

_Result = TypeVar("_Result")
_LONG = 50_000
_DECODERS = 2
"""Number of threads that decode pictures. Small, because a picture can take much memory."""


@dataclass(frozen=True, eq=False)
class Service:
    """The shared state of a server."""

    model_name: str
    limits: Limits
    metrics: Metrics
    watcher: ModelWatcher
    batcher: Batcher
    _decoders: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(_DECODERS)
    )

    def live_model(self) -> LiveModel:
        """Returns the live model.

        Raises:
          RequestError: 503 if there is none yet.
        """
        model = self.watcher.live
        if model is None:
            raise RequestError(503, "No model is loaded yet.", {"Retry-After": "1"})
        return model

    async def classify_pictures(
        self, model: LiveModel, encoded: Sequence[bytes]
    ) -> tuple[list[Prepared], Predictions]:
        """Prepares and classifies pictures.

        Args:
          model: the model.
          encoded: picture files (`models.pictures.open_picture`).

        Returns:
          The prepared pictures and their predictions.

        Raises:
          RequestError: 400 if a picture is unreadable or blank, or the pictures are too large in
            total; 500 if a prediction is not finite; 503 if too many requests are waiting.
        """
        prepared = await anyio.to_thread.run_sync(
            lambda: _prepare(model, encoded, self.limits.pixels), limiter=self._decoders
        )
        views = [np.zeros((0, *model.data.image_shape), np.uint8)]
        views += [picture.views for picture in prepared]
        outputs = await self.batcher.submit(model.classify(np.concatenate(views)))
        try:
            return prepared, model.served.combine(prepared, outputs[PROBABILITIES])
        except PredictionError as error:
            raise RequestError(500, str(error)) from error


async def run_without_blocking(size: int, function: Callable[[], _Result]) -> _Result:
    """Calls a function, in a thread if it would block other requests for long.

    Args:
      size: approximate number of characters or numbers that the function processes.
      function: a function without arguments.
    """
    if size < _LONG:
        return function()
    return await anyio.to_thread.run_sync(function)


def _prepare(model: LiveModel, encoded: Sequence[bytes], max_pixels: int) -> list[Prepared]:
    """Decodes pictures one at a time, to limit memory use."""
    prepared = []
    for number, data in enumerate(encoded):
        try:
            picture = open_picture(data, max_pixels)
            prepared.append(model.served.prepare(picture))
        except PictureError as error:
            which = f"Picture {number + 1} of {len(encoded)}: " if len(encoded) > 1 else ""
            raise invalid(which, error) from error
        max_pixels -= picture.width * picture.height
    return prepared
