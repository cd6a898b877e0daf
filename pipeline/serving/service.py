"""What the routes have in common: the live model, the queue before it, and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio.to_thread

from pipeline.serving.batching import Batcher
from pipeline.serving.limits import Limits
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_watcher import ModelWatcher

_Result = TypeVar("_Result")
_LONG = 50_000


@dataclass(frozen=True, eq=False)
class Service:
    """A server's parts."""

    model_name: str
    limits: Limits
    metrics: Metrics
    watcher: ModelWatcher
    batcher: Batcher


async def run_here_or_aside(size: int, function: Callable[[], _Result]) -> _Result:
    """Calls a function: in a thread if it would keep the other requests waiting.

    Args:
      size: about how many characters or numbers it goes through.
      function: without arguments.
    """
    if size < _LONG:
        return function()
    return await anyio.to_thread.run_sync(function)
