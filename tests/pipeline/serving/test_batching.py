"""Requests that run as one batch. The model is a function that blocks until released."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import numpy as np
import pytest

from pipeline.serving.batching import Batcher, Work
from pipeline.serving.errors import RequestError
from pipeline.serving.tfserving.tensor_json import Tensors

_Result = TypeVar("_Result")


class Model:
    """Doubles numbers, and fails for negative ones."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.is_busy = threading.Event()
        self.calls: list[list[int]] = []

    def __call__(self, inputs: Tensors) -> Tensors:
        self.is_busy.set()
        assert self.may_go_on.wait(30)
        self.calls.append(inputs["x"].tolist())
        if (inputs["x"] < 0).any():
            raise ValueError("negative")
        return {"y": 2 * inputs["x"]}

    def work(self, *numbers: int, kind: str | None = "a") -> Work:
        return Work(self, kind, {"x": np.array(numbers)}, len(numbers))


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def batch_rows() -> list[int]:
    return []


@pytest.fixture
def batcher(batch_rows: list[int]) -> Iterator[Batcher]:
    made = Batcher(max_rows=4, max_waiting=6, on_batch=batch_rows.append)
    yield made
    made.close()


async def _submit_while_busy(batcher: Batcher, model: Model, works: list[Work]) -> list[object]:
    """Submits works while the model runs another request, whose result is omitted."""
    first = asyncio.create_task(batcher.submit(model.work(0)))
    await asyncio.to_thread(model.is_busy.wait, 30)
    tasks = [asyncio.create_task(batcher.submit(work)) for work in works]
    await asyncio.sleep(0)
    model.may_go_on.set()
    await first
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [result["y"].tolist() if isinstance(result, dict) else result for result in results]


def submit_while_busy(batcher: Batcher, model: Model, *works: Work) -> list[object]:
    return run(_submit_while_busy(batcher, model, list(works)))


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Fails after 30 s."""

    async def run_for_so_long() -> _Result:
        return await asyncio.wait_for(work, 30)

    return asyncio.run(run_for_so_long())


def test_waiting_requests_run_as_one_batch(
    batcher: Batcher, model: Model, batch_rows: list[int]
) -> None:
    results = submit_while_busy(batcher, model, model.work(1), model.work(2, 3), model.work(4))
    assert results == [[2], [4, 6], [8]]
    assert model.calls == [[0], [1, 2, 3, 4]]
    assert batch_rows == [1, 4]


def test_a_batch_has_at_most_max_rows(batcher: Batcher, model: Model) -> None:
    results = submit_while_busy(
        batcher, model, model.work(1, 2, 3), model.work(4, 5), model.work(6), model.work(*range(9))
    )
    assert results == [[2, 4, 6], [8, 10], [12], [2 * number for number in range(9)]]
    assert model.calls == [[0], [1, 2, 3, 6], [4, 5], list(range(9))]


def test_only_work_of_the_same_kind_is_batched(batcher: Batcher, model: Model) -> None:
    kinds = ["a", "b", "a", "b", None, None]
    works = [model.work(number, kind=kind) for number, kind in enumerate(kinds, 1)]
    assert submit_while_busy(batcher, model, *works) == [[2], [4], [6], [8], [10], [12]]
    assert model.calls == [[0], [1, 3], [2, 4], [5], [6]]


def test_invalid_work_fails_alone(batcher: Batcher, model: Model) -> None:
    results = submit_while_busy(
        batcher, model, model.work(1), model.work(-1), model.work(2), model.work(3)
    )
    assert [results[0], *results[2:]] == [[2], [4], [6]]
    assert isinstance(results[1], ValueError)


def test_outputs_without_a_row_for_each_input_are_not_split(batcher: Batcher, model: Model) -> None:
    """A model may reduce its batch."""

    def total(inputs: Tensors) -> Tensors:
        return {"y": model(inputs)["y"].sum(keepdims=True)}

    works = [Work(total, "total", {"x": np.array(numbers)}, 2) for numbers in ([1, 2], [3, 4])]
    assert submit_while_busy(batcher, model, *works) == [[6], [14]]


def test_work_is_rejected_when_the_queue_is_full(batcher: Batcher, model: Model) -> None:
    works = [model.work(number) for number in range(8)]
    *completed, first_error, second_error = submit_while_busy(batcher, model, *works)
    assert completed == [[2 * number] for number in range(6)]
    for error in (first_error, second_error):
        assert isinstance(error, RequestError)
        assert (error.status, error.headers) == (503, {"Retry-After": "1"})


def test_close_finishes_queued_work(batcher: Batcher, model: Model) -> None:
    async def submit_and_close() -> Tensors:
        task = asyncio.create_task(batcher.submit(model.work(7)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        model.may_go_on.set()
        await closing
        return await task

    assert run(submit_and_close())["y"].tolist() == [14]
    with pytest.raises(RequestError, match="busy"):
        run(batcher.submit(model.work(1)))


def test_a_cancelled_request_does_not_affect_others(batcher: Batcher, model: Model) -> None:
    async def give_up() -> Tensors:
        first = asyncio.create_task(batcher.submit(model.work(1)))
        await asyncio.to_thread(model.is_busy.wait, 30)
        given_up = asyncio.create_task(batcher.submit(model.work(2)))
        third = asyncio.create_task(batcher.submit(model.work(3)))
        await asyncio.sleep(0)
        given_up.cancel()
        model.may_go_on.set()
        await first
        return await third

    assert run(give_up())["y"].tolist() == [6]


def test_an_idle_batcher_does_not_keep_the_model_in_memory(batcher: Batcher) -> None:
    model = Model()
    model.may_go_on.set()
    kept = weakref.ref(model)
    run(batcher.submit(model.work(1)))
    del model
    deadline = time.monotonic() + 10
    while kept() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert kept() is None
