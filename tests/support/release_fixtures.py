"""Release facts, and fake models made of text files for code that does not load models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.checksums import directory_sha256, model_sha256
from components.common.provenance import Data
from components.releases.manifest import ReleaseFacts
from models.definition import DATASET

MakeModel = Callable[[str], Path]

ACCURACY = 0.99
UNKNOWN_DATA = Data(source=None, fingerprint=None, counts={})
"""DATASET without information about the data's source and size."""


def release_facts(**changes: Any) -> ReleaseFacts:
    """Returns minimal facts about a release; keyword arguments override them."""
    facts: dict[str, Any] = {
        "model": DATASET.name,
        "metrics": {"accuracy": ACCURACY},
        "checks": (),
        "data": UNKNOWN_DATA,
        "git": None,
        "packages": {},
        "ml_metadata": {},
    }
    return ReleaseFacts(**{**facts, **changes})


def checksum(model: Path) -> str:
    """Returns the SHA-256 of a model, as the gate records it in its verdict."""
    return model_sha256(directory_sha256(model))


def no_check(staging: Path) -> None:
    """Accepts any staged model."""


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
