"""Models made of plain files: what writes releases does not look into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import pytest

from components.common.checksums import model_sha256
from components.common.provenance import Data
from components.releases.manifest import FileRecord, Release

MakeModel = Callable[[str], Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    def make(content: str) -> Path:
        directory = tmp_path / f"model-{content}"
        (directory / "variables").mkdir(parents=True)
        (directory / "assets").mkdir()
        (directory / "saved_model.pb").write_text(content)
        (directory / "variables" / "data").write_text(content * 1000)
        return directory

    return make


@pytest.fixture
def describe() -> Callable[[int, float, Mapping[str, FileRecord]], Release]:
    def make(version: int, now: float, files: Mapping[str, FileRecord]) -> Release:
        return Release(
            model="mnist",
            version=version,
            created=datetime.fromtimestamp(now, timezone.utc),
            model_sha256=model_sha256({name: file.sha256 for name, file in files.items()}),
            metrics={"accuracy": 0.99},
            checks=(),
            data=Data(source=None, fingerprint=None, counts={}),
            git=None,
            packages={},
            ml_metadata={},
            files=dict(files),
        )

    return make
