"""Makes TFX's cache notice what it overlooks: changed code, changed files, changed data.

TFX reuses a stage's earlier result if its inputs, its parameters and its executor's specification
are the same (`tfx/orchestration/portable/cache_utils.py`). It hashes the *names* of functions and
files, never what is in them, so an edited component, `preprocessing_fn`, `run_fn` or schema would
silently give the old result. Here each component's executor specification gets one more flag that
holds a digest of them; executors ignore it, and TFX includes it in the cache key.

Code counts if it is in one of PACKAGES and imported by its whole name, and with it the templates
that lie beside it; other files if a parameter has their absolute path. Any other file that code
opens by itself does not: hand it in as a parameter.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.pipeline import Pipeline

ROOT = Path(__file__).parents[1]
PACKAGES = ("components", "models", "pipeline")
_TEMPLATES = (".css", ".j2")
_STACK = (
    "apache-beam",
    "keras",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tfx",
)


def add_cache_keys(
    pipeline: Pipeline, outside: Mapping[str, str] | None = None, root: Path = ROOT
) -> None:
    """Gives each component a flag that changes with all that its result depends on.

    Args:
      pipeline: changed in place.
      outside: for a component's id, a stamp of what it reads from outside the pipeline.
      root: the folder that holds the project's packages.
    """
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in _STACK]
    for component in pipeline.components:
        if not isinstance(component, BaseComponent):
            continue
        modules, files = _dependencies(component)
        sources = source_closure(modules, root)
        parts = [
            *versions,
            *(_file_digest(path) for path in [*sources, *_templates_beside(sources), *files]),
            (outside or {}).get(component.id, ""),
        ]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        component.executor_spec.add_extra_flags([f"--cache_key={digest}"])


def source_closure(modules: Iterable[str], root: Path = ROOT) -> list[Path]:
    """Finds the project's source files that importing the modules would read, itself included.

    Args:
      modules: dotted names, such as `models.trainer`; those outside the project are passed over.
      root: the folder that holds the project's packages.

    Returns:
      The files, sorted.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        for path in _files_of(waiting.pop(), root):
            if path not in found:
                found.add(path)
                waiting.extend(_imports_of(path))
    return sorted(found)


def _templates_beside(sources: Iterable[Path]) -> list[Path]:
    directories = {path.parent for path in sources}
    found = (path for directory in directories for path in directory.iterdir())
    return sorted(path for path in found if path.suffix in _TEMPLATES)


def _dependencies(component: BaseComponent) -> tuple[list[str], list[Path]]:
    """The modules (of its executor, of functions in its parameters) and the files that it uses."""
    spec = component.executor_spec
    modules = [spec.executor_class.__module__] if isinstance(spec, ExecutorClassSpec) else []
    values = [value for value in component.exec_properties.values() if isinstance(value, str)]
    modules += [value.rpartition(".")[0] for value in values if value.startswith(PACKAGES)]
    files = [Path(value) for value in values if value.startswith("/") and Path(value).is_file()]
    return modules, files


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """Source files of a dotted name and of the packages above it; none if not the project's."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                yield path


def _imports_of(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"{path}: imports must be absolute to be in the cache key")
            # `from package import name`: the name may be a module, too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_digest(path: Path) -> str:
    return json.dumps([str(path.name), hashlib.sha256(path.read_bytes()).hexdigest()])
