"""Which source files a stage's result depends on."""

from pathlib import Path

import pytest

from pipeline.cache_keys import ROOT, source_closure


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "models/__init__.py": "",
        "models/names.py": "A = 1",
        "models/net.py": "import os\nfrom models import names",
        "models/train.py": "def f():\n    from models.net import build\n",
        "models/other.py": "",
        "components/__init__.py": "",
        "components/gate/__init__.py": "import models.names",
        "components/gate/executor.py": "import numpy",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("models.names", ["models/__init__.py", "models/names.py"]),
        (
            "models.train",
            ["models/__init__.py", "models/names.py", "models/net.py", "models/train.py"],
        ),
        (
            "components.gate.executor",
            [
                "components/__init__.py",
                "components/gate/__init__.py",
                "components/gate/executor.py",
                "models/__init__.py",
                "models/names.py",
            ],
        ),
        ("numpy.linalg", []),
    ],
)
def test_closure_has_what_an_import_would_read(
    project: Path, module: str, expected: list[str]
) -> None:
    found = source_closure([module], root=project)
    assert [str(path.relative_to(project)) for path in found] == expected


def test_training_code_is_apart_from_the_gates() -> None:
    names = {str(path.relative_to(ROOT)) for path in source_closure(["models.trainer"])}
    assert {"models/trainer.py", "models/architecture.py", "models/features.py"} <= names
    assert not any(name.startswith("components/") for name in names)
