"""Makes TFX's cache notice changed code, changed files and changed data.

TFX reuses the earlier result of a component if its inputs, its parameters and its executor's
specification are the same (`tfx/orchestration/portable/cache_utils.py`). It hashes the *names* of
functions and files, never their content, so an edited component, `preprocessing_fn`, `run_fn` or
schema would silently give the old result. This module adds a flag with a digest of that content to
each executor's specification. Executors ignore the flag, and TFX includes it in the cache key.

The digest covers:
  - the versions in `components.common.provenance.package_versions`;
  - source files in PACKAGES that the component imports, directly or not, by their full name, or
    that they name in a string, such as "models.digits.sample.load";
  - templates in the same folders;
  - files whose absolute path is a parameter.

It does not cover other files that the code opens: pass their path as a parameter.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.pipeline import Pipeline

from components.common.provenance import package_versions

ROOT = Path(__file__).parents[1]
PACKAGES = ("components", "models", "pipeline")
_DOTTED_PATH = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")
_TEMPLATES = (".css", ".j2")


def add_cache_keys(
    pipeline: Pipeline, outside: Mapping[str, str] | None = None, root: Path = ROOT
) -> None:
    """Gives each component a flag that changes with everything that its result depends on.

    Args:
      pipeline: changed in place.
      outside: by component id, a stamp of the data that it reads from outside the pipeline.
      root: the folder that holds the project's packages.

    Raises:
      ValueError: `outside` has an id that the pipeline has not. Its stamp would be lost, and stale
        results reused.
    """
    outside = outside or {}
    ids = [component.id for component in pipeline.components]
    if unknown := sorted(outside.keys() - set(ids)):
        raise ValueError(f"expected ids of components, {ids}, received {unknown}")
    versions = [f"{name}=={version}" for name, version in package_versions().items()]
    for component in pipeline.components:
        if not isinstance(component, BaseComponent):
            continue
        modules, files = _dependencies(component)
        sources = source_closure(modules, root)
        parts = [
            *versions,
            *(_file_digest(path) for path in [*sources, *_templates_beside(sources), *files]),
            outside.get(component.id, ""),
        ]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        component.executor_spec.add_extra_flags([f"--cache_key={digest}"])


def source_closure(modules: Iterable[str], root: Path = ROOT) -> list[Path]:
    """Finds the project's source files that the modules consist of, import, or name in strings.

    Args:
      modules: dotted names, such as `models.trainer`; those outside the project are ignored.
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
    """Modules of the executor and of functions in parameters, and files named in parameters."""
    spec = component.executor_spec
    modules = [spec.executor_class.__module__] if isinstance(spec, ExecutorClassSpec) else []
    values = [value for value in component.exec_properties.values() if isinstance(value, str)]
    modules += [value.rpartition(".")[0] for value in values if value.startswith(PACKAGES)]
    files = [Path(value) for value in values if value.startswith("/") and Path(value).is_file()]
    return modules, files


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """Source files of a dotted name and of its parent packages; none outside the project."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                yield path


def _imports_of(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at any level, or has as a string."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"{path}: imports must be absolute to be in the cache key")
            # The imported name may itself be a module.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _DOTTED_PATH.fullmatch(str(node.value)):
            # importlib may load it.
            yield str(node.value)


def _file_digest(path: Path) -> str:
    return json.dumps([str(path.name), hashlib.sha256(path.read_bytes()).hexdigest()])
