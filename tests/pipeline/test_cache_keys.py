"""Tests which changes invalidate a component's cache key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tfx.orchestration.pipeline import Pipeline

from pipeline import graph
from pipeline.cache_keys import PACKAGES, ROOT, add_cache_keys, source_closure
from pipeline.settings import SCHEMA_FILE, make_settings
from pipeline.stages import (
    BASELINE,
    DATA_GATE,
    EVALUATOR,
    EXAMPLE_GEN,
    IMAGE_VALIDATOR,
    MODEL_GATE,
    PUSHER,
    REPORT,
    SCHEMA_GEN,
    STAGES,
    TRAINER,
    TRANSFORM,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "models/__init__.py": "",
        "models/names.py": "A = 1",
        "models/net.py": "import os\nfrom models import names",
        "models/train.py": "def f():\n    from models.net import build\n",
        "models/definition.py": "LOAD = 'models.sample.load'\nOTHER = 'see models.names'",
        "models/sample.py": "def load(): ...",
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
        (
            "models.definition",
            ["models/__init__.py", "models/definition.py", "models/sample.py"],
        ),
        ("numpy.linalg", []),
    ],
)
def test_source_closure_follows_imports_and_names_in_strings(
    project: Path, module: str, expected: list[str]
) -> None:
    found = source_closure([module], root=project)
    assert [str(path.relative_to(project)) for path in found] == expected


def _pipeline(**settings: object) -> Pipeline:
    return graph.create_pipeline(make_settings({"data": "tfds"}, settings))


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("live", list(STAGES)),
        ("none", [name for name in STAGES if name != BASELINE]),
    ],
)
def test_component_ids_are_the_stages(tmp_path: Path, baseline: str, expected: list[str]) -> None:
    pipeline = _pipeline(baseline=baseline, pipeline_root=tmp_path)
    assert [node.id for node in pipeline.components] == expected


def test_data_stamp_of_an_unknown_component_is_an_error(tmp_path: Path) -> None:
    pipeline = _pipeline(pipeline_root=tmp_path)
    pipeline.components[0].with_id("RenamedExampleGen")
    with pytest.raises(ValueError, match=rf"among .*, received \['{EXAMPLE_GEN}'\]"):
        add_cache_keys(pipeline, {EXAMPLE_GEN: "stamp"})


def _keys(root: Path = ROOT, data_stamps: dict[str, str] | None = None) -> dict[str, list[str]]:
    """Returns the flags that TFX includes in the cache key, by component."""
    pipeline = _pipeline()
    add_cache_keys(pipeline, data_stamps, root)
    return {node.id: list(node.executor_spec.extra_flags) for node in pipeline.components}


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            "models/definition.py",
            {
                EXAMPLE_GEN,
                IMAGE_VALIDATOR,
                TRANSFORM,
                TRAINER,
                BASELINE,
                EVALUATOR,
                MODEL_GATE,
                REPORT,
                PUSHER,
            },
        ),
        ("models/architectures.py", {TRAINER}),
        ("models/preprocessing.py", {TRANSFORM, TRAINER, MODEL_GATE}),
        ("components/example_gen/executor.py", {EXAMPLE_GEN}),
        ("components/image_validator/rules.py", {IMAGE_VALIDATOR}),
        ("components/data_gate/executor.py", {DATA_GATE}),
        ("components/model_gate/rules.py", {MODEL_GATE, PUSHER, REPORT}),
        ("components/report/page.html.j2", {REPORT}),
        ("components/report/page.css", {REPORT}),
        ("components/pusher/executor.py", {PUSHER}),
        ("pipeline/cli/console.py", set()),
    ],
)
def test_changed_code_changes_the_keys_of_the_stages_that_use_it(
    project_copy: Path, changed: str, expected: set[str]
) -> None:
    before = _keys(project_copy)
    with (project_copy / changed).open("a") as file:
        file.write("\n# changed\n")
    after = _keys(project_copy)
    assert {name for name in after if after[name] != before[name]} == expected


def test_changed_schema_changes_the_key_of_schema_gen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = tmp_path / "schema.pbtxt"
    shutil.copy(SCHEMA_FILE, schema)
    monkeypatch.setattr(graph, "SCHEMA_FILE", schema)
    before = _keys()
    schema.write_text(schema.read_text() + "\n# changed\n")
    after = _keys()
    assert {name for name in after if after[name] != before[name]} == {SCHEMA_GEN}


def test_changed_data_stamp_changes_the_key_of_its_component() -> None:
    before, after = _keys(data_stamps={EXAMPLE_GEN: "a"}), _keys(data_stamps={EXAMPLE_GEN: "b"})
    assert {name for name in after if after[name] != before[name]} == {EXAMPLE_GEN}


def test_relative_import_is_an_error(project: Path) -> None:
    (project / "models/net.py").write_text("from . import names")
    with pytest.raises(ValueError, match=r"net.py: expected absolute imports"):
        source_closure(["models.net"], root=project)
