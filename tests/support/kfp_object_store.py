"""Object stores, with uploads and downloads like those of KFP's launcher.

Follows backend/src/v2/objectstore/object_store.go of kubeflow/pipelines.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class ObjectStore(Protocol):
    """A bucket, which maps keys to objects and has no directories."""

    def keys(self, prefix: str) -> list[str]:
        """Returns the keys that start with the prefix."""

    def read(self, key: str) -> bytes:
        """Returns the content of an object."""

    def write(self, key: str, content: bytes) -> None:
        """Creates or replaces an object."""


@dataclass
class MemoryStore:
    """A bucket in memory."""

    objects: dict[str, bytes]

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def read(self, key: str) -> bytes:
        return self.objects[key]

    def write(self, key: str, content: bytes) -> None:
        self.objects[key] = content


@dataclass
class S3Store:
    """A bucket on an S3 server.

    Attributes:
      client: a boto3 client.
      bucket: the bucket's name.
    """

    client: Any
    bucket: str

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)


def upload(store: ObjectStore, local: Path, key: str) -> None:
    """Uploads a file or the files below a directory, like UploadBlob.

    Empty directories are not uploaded.

    Raises:
      FileNotFoundError: the local path does not exist.
    """
    if not local.is_dir():
        store.write(key, local.read_bytes())
        return
    for path in sorted(local.iterdir()):
        upload(store, path, f"{key}/{path.name}")


def download(store: ObjectStore, key: str, local: Path) -> None:
    """Downloads the objects with this key or below it, like DownloadBlob.

    Missing objects are not an error.
    """
    for found in store.keys(key):
        if found == key or found.startswith(f"{key}/"):
            path = local / found.removeprefix(key).lstrip("/") if found != key else local
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.read(found))
