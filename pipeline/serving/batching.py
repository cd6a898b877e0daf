"""Runs the model on a batch of all waiting requests.

One thread runs the model. Requests that arrive meanwhile wait, and those of the same kind then run
as one batch: the busier the server, the larger the batch. A lone request never waits for others.
One large batch costs several times less than its images one by one.
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
    """A call of the model, for one request.

    Attributes:
      run: calls the model.
      kind: work of equal kinds is batched: inputs are joined along their first dimension, and
        outputs are split. If that fails, the requests run alone. None disables batching.
      inputs: by name.
      rows: size of the first dimension.
    """

    run: Callable[[Tensors], Tensors]
    kind: Hashable | None
    inputs: Tensors
    rows: int


_Answer = Tensors | BaseException


@dataclass(frozen=True, eq=False)
class _Waiting:
    work: Work
    future: asyncio.Future[Tensors]


class Batcher:
    """A queue, and the thread that empties it."""

    def __init__(self, max_rows: int, max_waiting: int, ran: Callable[[int], None]) -> None:
        """Starts the thread.

        Args:
          max_rows: in one batch; larger work runs alone.
          max_waiting: requests; further ones are refused.
          ran: called with the number of rows of each batch.
        """
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._ran = ran
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    async def submit(self, work: Work) -> Tensors:
        """Runs work and returns its outputs.

        Raises:
          RequestError: 503 if too many requests are waiting; or any error of `work.run`.
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
        """Finishes the waiting work, and ends the thread."""
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
            answers = self._run([waiting.work for waiting in batch])
            batch[0].future.get_loop().call_soon_threadsafe(_deliver, batch, answers)
            del batch, answers  # They would keep the model while nobody asks.

    def _take(self) -> list[_Waiting]:
        """Takes the first in the queue, and those behind it that fit in its batch."""
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

    def _run(self, works: Sequence[Work]) -> list[_Answer]:
        """Returns outputs in the same order; if a batch fails, runs its halves."""
        try:
            outputs = works[0].run(_join([work.inputs for work in works]))
            answers: list[_Answer] = [*_split(outputs, [work.rows for work in works])]
        except Exception as error:  # noqa: BLE001 - it belongs to the request, not to the thread
            if len(works) == 1:
                return [error]
            half = len(works) // 2
            return [*self._run(works[:half]), *self._run(works[half:])]
        self._ran(sum(work.rows for work in works))
        return answers


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


def _deliver(batch: Sequence[_Waiting], answers: Sequence[_Answer]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.future.done():  # Cancelled.
            continue
        if isinstance(answer, BaseException):
            waiting.future.set_exception(answer)
        else:
            waiting.future.set_result(answer)
