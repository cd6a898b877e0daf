"""The versions of a model below its directory, numbered as TensorFlow Serving expects them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

MAX_VERSION = 2**63 - 1
"""TensorFlow Serving keeps versions as int64."""

SAVED_MODEL = "saved_model.pb"
"""What makes a directory one that can be served."""

_NUMBER = re.compile(r"[0-9]{1,20}")


def parse_version(name: str) -> int | None:
    """The version that an entry of a model's directory stands for.

    Returns:
      1 to MAX_VERSION, or None for a name that is no such number: TensorFlow Serving overlooks it.
    """
    number = int(name) if _NUMBER.fullmatch(name) else 0
    return number if 1 <= number <= MAX_VERSION else None


def list_versions(model_dir: Path) -> dict[int, Path]:
    """All versions below a model's directory, oldest first, whoever wrote them.

    Files and links count too, because their numbers are taken.

    Returns:
      Paths by version; empty if there is no such directory.
    """
    if not model_dir.is_dir():
        return {}
    numbered = ((parse_version(path.name), path) for path in model_dir.iterdir())
    return dict(sorted((version, path) for version, path in numbered if version is not None))


def live_version(model_dir: Path) -> int | None:
    """The version that TensorFlow Serving serves: the highest that holds a SavedModel, or None."""
    servable = [
        version
        for version, path in list_versions(model_dir).items()
        if (path / SAVED_MODEL).is_file()
    ]
    return max(servable, default=None)


def next_version(existing: Collection[int], now: float) -> int:
    """A version above all others, even when the clock went back.

    Args:
      existing: versions that are there.
      now: seconds since 1970; the version itself, rounded down, unless that is not the newest.

    Raises:
      ValueError: if the newest is MAX_VERSION.
    """
    newest = max(existing, default=0)
    if newest >= MAX_VERSION:
        raise ValueError(
            f"Expected a newest version below {MAX_VERSION}, received {newest}: "
            "remove or rename it, as none can come after it."
        )
    return max(int(now), newest + 1)
