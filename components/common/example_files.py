"""Checksums of the files of an Examples artifact, which stages verify before they read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tfx.types import Artifact, artifact_utils

from components.common.checksums import directory_sha256, model_sha256


def record_checksums(examples: Artifact) -> None:
    """Sets the custom property `sha256_<split>` for each split, once all files are written."""
    for split in json.loads(examples.split_names):
        examples.set_string_custom_property(_property(split), _split_sha256(examples, split))


@contextmanager
def unchanged(examples: Artifact, splits: Iterable[str], error: type[Exception]) -> Iterator[None]:
    """Verifies the files of splits before and after the block that reads them.

    Args:
      examples: artifact of `record_checksums`.
      splits: names of the splits to verify.
      error: class of the error to raise if the files of a split changed or have no checksum.
    """
    _verify(examples, splits, error)
    yield
    _verify(examples, splits, error)


def is_unchanged(examples: Artifact, split: str) -> bool | None:
    """Returns whether the files of a split have the recorded checksum; None if there is none."""
    recorded = examples.get_string_custom_property(_property(split))
    return _split_sha256(examples, split) == recorded if recorded else None


def _verify(examples: Artifact, splits: Iterable[str], error: type[Exception]) -> None:
    for split in splits:
        if not is_unchanged(examples, split):
            raise error(
                f"the files of split {split} differ from those that ExampleGen wrote. Delete "
                f"{examples.uri} and run the pipeline again."
            )


def _split_sha256(examples: Artifact, split: str) -> str:
    """Combines the names and checksums of a split's files in one checksum."""
    return model_sha256(directory_sha256(Path(artifact_utils.get_split_uri([examples], split))))


def _property(split: str) -> str:
    return f"sha256_{split}"
