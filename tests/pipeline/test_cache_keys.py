"""What changes a stage's cache key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline import graph
from pipeline.cache_keys import PACKAGES, ROOT, add_cache_keys, source_closure
from pipeline.settings import make_settings


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


def _keys(root: Path = ROOT, outside: dict[str, str] | None = None) -> dict[str, list[str]]:
    """The flags that TFX will hash, by component."""
    pipeline = graph.create_pipeline(make_settings({"data": "bundled"}))
    add_cache_keys(pipeline, outside, root)
    return {
        node.id: list(node.executor_spec.extra_flags)
        for node in pipeline.components
        if node.id != "Baseline"
    }


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("models/architectures.py", {"Trainer"}),
        ("models/preprocessing.py", {"Transform", "Trainer"}),
        ("components/example_gen/executor.py", {"ImageExampleGen"}),
        ("components/data_gate/executor.py", {"DataGate"}),
        ("components/model_gate/rules.py", {"ModelGate", "Pusher", "RunReport"}),
        ("components/report/page.html.j2", {"RunReport"}),
        ("components/report/page.css", {"RunReport"}),
        ("components/pusher/executor.py", {"Pusher"}),
        ("pipeline/console.py", set()),
    ],
)
def test_changed_code_changes_the_keys_of_the_stages_that_run_it(
    project_copy: Path, changed: str, expected: set[str]
) -> None:
    before = _keys(project_copy)
    with (project_copy / changed).open("a") as file:
        file.write("\n# changed\n")
    after = _keys(project_copy)
    assert {name for name in after if after[name] != before[name]} == expected


def test_changed_schema_changes_the_key_of_its_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = tmp_path / "schema.pbtxt"
    shutil.copy(graph.SCHEMA_FILE, schema)
    monkeypatch.setattr(graph, "SCHEMA_FILE", schema)
    before = _keys()
    schema.write_text(schema.read_text() + "\n# changed\n")
    after = _keys()
    assert {name for name in after if after[name] != before[name]} == {"ImportSchemaGen"}


def test_changed_outside_data_changes_the_key_of_its_reader() -> None:
    before, after = _keys(outside={"ImageExampleGen": "a"}), _keys(outside={"ImageExampleGen": "b"})
    assert {name for name in after if after[name] != before[name]} == {"ImageExampleGen"}


def test_relative_import_is_refused_as_it_would_be_overlooked(project: Path) -> None:
    (project / "models/net.py").write_text("from . import names")
    with pytest.raises(ValueError, match=r"net.py: imports must be absolute"):
        source_closure(["models.net"], root=project)
