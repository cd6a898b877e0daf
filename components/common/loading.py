"""Faster imports of large packages."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pauses the garbage collector during imports, and exempts what they created from it.

    TensorFlow and TFX create millions of objects that live until the process exits. The collector
    would visit them again and again, which takes a third of the import time, and again later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
