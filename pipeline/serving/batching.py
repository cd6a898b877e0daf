"""Runs the model on batches of waiting requests.

One thread runs the model. Requests that arrive while it is busy wait in a queue. Then all requests
of the same kind run as one batch, which is several times cheaper than running them one by one. The
busier the server, the larger the batches. A request never waits for other requests to arrive.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.serving.errors import RequestError
from pipeline.serving.tfserving.tensor_json import Tensors

_RETRY_SECONDS = "1"


@dataclass(frozen=True, eq=False)
class Work:
    """One request's call of the model.

    Attributes:
      run: calls the model with inputs by name and returns outputs by name.
      kind: work of the same kind is batched: inputs are concatenated along their first dimension,
        and outputs are split. If the batch fails, the requests run individually. None disables
        batching.
      inputs: inputs, by name.
      rows: size of the inputs' first dimension.
    """

    run: Callable[[Tensors], Tensors]
    kind: Hashable | None
    inputs: Tensors
    rows: int


_Result = Tensors | BaseException


@dataclass(frozen=True, eq=False)
class _Waiting:
    work: Work
    future: asyncio.Future[Tensors]


class Batcher:
    """A queue, and the thread that runs the queued work."""

    def __init__(self, max_rows: int, max_waiting: int, on_batch: Callable[[int], None]) -> None:
        """Starts the thread.

        Args:
          max_rows: largest number of rows in a batch. Larger requests run individually.
          max_waiting: largest number of queued requests. More requests are rejected.
          on_batch: called after each batch with its number of rows.
        """
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    async def submit(self, work: Work) -> Tensors:
        """Runs work and returns its outputs.

        Raises:
          RequestError: 503 if too many requests are waiting.
          Exception: any error of `work.run`.
        """
        waiting = _Waiting(work, asyncio.get_running_loop().create_future())
        with self._changed:
            if self._closed or len(self._waiting) >= self._max_waiting:
                raise RequestError(
                    503,
                    f"The server is busy: {len(self._waiting)} requests are waiting. Try later.",
                    {"Retry-After": _RETRY_SECONDS},
                )
            self._waiting.append(waiting)
            self._changed.notify()
        return await waiting.future

    def close(self) -> None:
        """Finishes the queued work, then stops the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                batch = self._take()
            results = self._run([waiting.work for waiting in batch])
            batch[0].future.get_loop().call_soon_threadsafe(_deliver, batch, results)
            del batch, results  # References would keep an old model in memory.

    def _take(self) -> list[_Waiting]:
        """Takes the first request and all later ones that fit in its batch."""
        batch = [self._waiting.popleft()]
        kind, rows = batch[0].work.kind, batch[0].work.rows
        others: deque[_Waiting] = deque()
        while self._waiting:
            waiting = self._waiting.popleft()
            fits = rows + waiting.work.rows <= self._max_rows
            if kind is not None and waiting.work.kind == kind and fits:
                batch.append(waiting)
                rows += waiting.work.rows
            else:
                others.append(waiting)
        self._waiting = others
        return batch

    def _run(self, works: Sequence[Work]) -> list[_Result]:
        """Runs a batch, or its halves if it fails. Returns results in the same order."""
        try:
            outputs = works[0].run(_join([work.inputs for work in works]))
            results: list[_Result] = [*_split(outputs, [work.rows for work in works])]
        except Exception as error:  # noqa: BLE001 - delivered to the request
            if len(works) == 1:
                return [error]
            half = len(works) // 2
            return [*self._run(works[:half]), *self._run(works[half:])]
        self._on_batch(sum(work.rows for work in works))
        return results


def _join(inputs: Sequence[Tensors]) -> Tensors:
    if len(inputs) == 1:
        return inputs[0]
    return {name: np.concatenate([tensors[name] for tensors in inputs]) for name in inputs[0]}


def _split(outputs: Tensors, rows: Sequence[int]) -> list[Tensors]:
    if len(rows) == 1:
        return [outputs]
    if any(array.shape[:1] != (sum(rows),) for array in outputs.values()):
        raise ValueError("Expected one output row for each input row.")
    ends = np.cumsum(rows)
    columns: dict[str, Any] = {name: np.split(array, ends[:-1]) for name, array in outputs.items()}
    return [{name: parts[index] for name, parts in columns.items()} for index in range(len(rows))]


def _deliver(batch: Sequence[_Waiting], results: Sequence[_Result]) -> None:
    for waiting, result in zip(batch, results, strict=True):
        if waiting.future.done():  # Cancelled.
            continue
        if isinstance(result, BaseException):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
