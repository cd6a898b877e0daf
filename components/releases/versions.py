"""The numbered versions in a model's directory, in the layout of TensorFlow Serving."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

MAX_VERSION = 2**63 - 1
"""TensorFlow Serving stores versions as int64."""

SAVED_MODEL = "saved_model.pb"
"""The file that identifies a directory as a SavedModel."""

_NUMBER = re.compile(r"[0-9]{1,20}")


def parse_version(name: str) -> int | None:
    """Parses the name of an entry in a model's directory.

    Returns:
      The version, from 1 to MAX_VERSION; None for other names, which TensorFlow Serving ignores.
    """
    number = int(name) if _NUMBER.fullmatch(name) else 0
    return number if 1 <= number <= MAX_VERSION else None


def list_versions(model_dir: Path) -> dict[int, Path]:
    """Lists all versions in a model's directory, oldest first.

    Includes files, links and versions pushed by other tools, because their numbers can't be reused.

    Returns:
      Paths by version; empty if the directory doesn't exist.
    """
    if not model_dir.is_dir():
        return {}
    numbered = ((parse_version(path.name), path) for path in model_dir.iterdir())
    return dict(sorted((version, path) for version, path in numbered if version is not None))


def next_version(existing: Collection[int], now: float) -> int:
    """Returns a version above all existing ones, even if the clock was set back.

    Args:
      existing: existing versions.
      now: Unix time in seconds. Rounded down, it is the version, unless a higher one exists.

    Raises:
      ValueError: if the highest version is MAX_VERSION.
    """
    newest = max(existing, default=0)
    if newest >= MAX_VERSION:
        raise ValueError(
            f"version {newest} is the largest that TensorFlow Serving supports, so no version can "
            "be added. Rename or remove its directory."
        )
    return max(int(now), newest + 1)
