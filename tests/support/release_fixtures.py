"""Models made of plain files, for code that does not look into them, and facts for manifests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.provenance import Data
from components.releases.manifest import ReleaseFacts
from models.definition import DATASET

MakeModel = Callable[[str], Path]

ACCURACY = 0.99
UNKNOWN_DATA = Data(source=None, fingerprint=None, counts={})
"""With the facts of DATASET."""


def release_facts(**changes: Any) -> ReleaseFacts:
    """Facts about a model of which little is known."""
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


def no_check(staging: Path) -> None:
    """Approves of any copy."""


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
