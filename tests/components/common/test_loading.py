"""Tests that garbage collection pauses during imports only."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from components.common.loading import collection_paused


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_collection_is_paused_and_later_skips_the_objects_created_meanwhile() -> None:
    with collection_paused():
        assert not gc.isenabled()
        created: list[list[int]] = [[]]
    assert gc.isenabled()
    assert not any(found is created for found in gc.get_objects())


def test_collection_resumes_after_an_error() -> None:
    with pytest.raises(ImportError), collection_paused():
        raise ImportError
    assert gc.isenabled()
