"""The versions of a model below its directory, numbered as TensorFlow Serving expects them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

MAX_VERSION = 2**63 - 1
"""TensorFlow Serving keeps versions as int64."""

SAVED_MODEL = "saved_model.pb"
"""The file that makes a directory a SavedModel."""

_NUMBER = re.compile(r"[0-9]{1,20}")


def parse_version(name: str) -> int | None:
    """Parses the name of an entry in a model's directory.

    Returns:
      1 to MAX_VERSION, or None for any other name: TensorFlow Serving ignores those.
    """
    number = int(name) if _NUMBER.fullmatch(name) else 0
    return number if 1 <= number <= MAX_VERSION else None


def list_versions(model_dir: Path) -> dict[int, Path]:
    """Lists all versions below a model's directory, oldest first, whoever wrote them.

    Files and links count too, because their numbers are taken.

    Returns:
      Paths by version; empty if there is no such directory.
    """
    if not model_dir.is_dir():
        return {}
    numbered = ((parse_version(path.name), path) for path in model_dir.iterdir())
    return dict(sorted((version, path) for version, path in numbered if version is not None))


def next_version(existing: Collection[int], now: float) -> int:
    """Returns a version above all others, even if the clock went back.

    Args:
      existing: versions that are taken.
      now: seconds since 1970; becomes the version, rounded down, unless a higher one is taken.

    Raises:
      ValueError: if the highest version is MAX_VERSION.
    """
    newest = max(existing, default=0)
    if newest >= MAX_VERSION:
        raise ValueError(
            f"Expected a newest version below {MAX_VERSION}, received {newest}: "
            "remove or rename it, as none can come after it."
        )
    return max(int(now), newest + 1)
