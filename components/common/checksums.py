"""SHA-256 of the files of a model, which say whether two models are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Lower-case hexadecimal SHA-256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def directory_sha256(directory: Path, leave_out: Iterable[str] = ()) -> dict[str, str]:
    """SHA-256 of each file below a directory.

    Args:
      directory: such as a SavedModel's.
      leave_out: relative paths that don't count.

    Returns:
      The digest by relative path (POSIX style), sorted; empty if there is no such directory.
    """
    left_out = set(leave_out)
    paths = {
        path.relative_to(directory).as_posix(): path
        for path in directory.rglob("*")
        if path.is_file()
    }
    return {name: file_sha256(paths[name]) for name in sorted(paths) if name not in left_out}


def model_sha256(files: Mapping[str, str]) -> str:
    """One digest of a whole model, from `directory_sha256`.

    It is that of the lines `<digest>  <relative path>`, in order of the paths: what
    `find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum` prints in the directory.
    """
    lines = (f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
