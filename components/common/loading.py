"""Faster imports of large packages."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (50_000, 20, 20)
"""Python 3.10's are (700, 10, 10). Beam and Keras create many objects, but hardly any garbage."""


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pauses garbage collection during imports, and never visits the imported objects later.

    TensorFlow and TFX create millions of objects that live until the process ends. Visiting them
    again and again takes a third of the import time. Afterwards, collections are also less frequent
    than by default.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()
