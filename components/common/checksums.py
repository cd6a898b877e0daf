"""SHA-256 checksums of models. Two models with the same checksum are identical."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file (lowercase hex), reading it in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def directory_sha256(directory: Path, exclude: Iterable[str] = ()) -> dict[str, str]:
    """Returns the SHA-256 of each file below a directory.

    Args:
      directory: for example, a SavedModel.
      exclude: relative paths to skip.

    Returns:
      Checksums by relative POSIX path, sorted by path; empty if the directory doesn't exist.
    """
    excluded = set(exclude)
    paths = {
        path.relative_to(directory).as_posix(): path
        for path in directory.rglob("*")
        if path.is_file()
    }
    return {name: file_sha256(paths[name]) for name in sorted(paths) if name not in excluded}


def symbolic_links(directory: Path) -> list[str]:
    """Returns the relative POSIX paths of the symbolic links below a directory, sorted.

    A link's target can change later and can be any file of the machine, so models must not have
    links. Checksums are those of the targets.
    """
    links = (path for path in directory.rglob("*") if path.is_symlink())
    return sorted(path.relative_to(directory).as_posix() for path in links)


def model_sha256(files: Mapping[str, str]) -> str:
    """Combines the checksums of `directory_sha256` into one checksum of the model.

    Hashes one line `<checksum>  <relative path>` per file, sorted by path. In the directory,
    `find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum` prints the same checksum.
    """
    lines = (f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
