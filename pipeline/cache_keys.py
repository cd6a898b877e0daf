"""Invalidates TFX's cache when code, files or external data change.

TFX reuses a component's earlier result if the inputs, the parameters and the executor spec are
unchanged (`tfx/orchestration/portable/cache_utils.py`). The cache key contains the *names* of
functions and files but not their content, so after an edit to a component, `preprocessing_fn`,
`run_fn` or the schema, TFX would silently reuse the old result. This module adds a flag with a
digest of that content to each executor spec. Executors ignore the flag, and TFX includes it in the
cache key.

The digest covers:
  - the versions in `components.common.provenance.package_versions`;
  - source files in PACKAGES that the component imports directly or indirectly, or that one of
    these files names in a string, for example "models.digits.sample.load";
  - templates in the directories of these source files;
  - files whose absolute path is a parameter.

Other files that the code opens are not covered. Pass their paths as parameters instead.
"""

from __future__ import annotations

import ast
import functools
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
    pipeline: Pipeline, data_stamps: Mapping[str, str] | None = None, root: Path = ROOT
) -> None:
    """Adds a flag to each component that changes whenever its result may change.

    Args:
      pipeline: modified in place.
      data_stamps: maps the ids of components that read external data to strings that change when
        the data changes.
      root: directory that contains the project's packages.

    Raises:
      ValueError: `data_stamps` has an unknown component id. Ignoring the stamp would reuse stale
        results.
    """
    data_stamps = data_stamps or {}
    ids = [component.id for component in pipeline.components]
    if unknown := sorted(data_stamps.keys() - set(ids)):
        raise ValueError(f"expected data stamps for components among {ids}, received {unknown}")
    versions = [f"{name}=={version}" for name, version in package_versions().items()]
    for component in pipeline.components:
        modules, files = _dependencies(component)
        sources = source_closure(modules, root)
        parts = [
            *versions,
            *(_file_digest(path) for path in [*sources, *_templates_beside(sources), *files]),
            data_stamps.get(component.id, ""),
        ]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        component.executor_spec.add_extra_flags([f"--cache_key={digest}"])


def source_closure(modules: Iterable[str], root: Path = ROOT) -> list[Path]:
    """Finds the project's source files that modules depend on, including their own files.

    A file depends on the modules that it imports and on those that it names in strings.

    Args:
      modules: dotted names, such as `models.trainer`. Modules of other projects are ignored.
      root: directory that contains the project's packages.

    Returns:
      The files, sorted.

    Raises:
      ValueError: a file has a relative import.
    """
    found: set[Path] = set()
    pending = list(modules)
    while pending:
        for path in _source_files(pending.pop(), root):
            if path not in found:
                found.add(path)
                pending.extend(_imported_names(path, path.read_bytes()))
    return sorted(found)


def _templates_beside(sources: Iterable[Path]) -> list[Path]:
    directories = {path.parent for path in sources}
    found = (path for directory in directories for path in directory.iterdir())
    return sorted(path for path in found if path.suffix in _TEMPLATES)


def _dependencies(component: BaseComponent) -> tuple[list[str], list[Path]]:
    """Finds a component's modules (executor, functions in parameters) and files in parameters."""
    spec = component.executor_spec
    modules = [spec.executor_class.__module__] if isinstance(spec, ExecutorClassSpec) else []
    values = [value for value in component.exec_properties.values() if isinstance(value, str)]
    modules += [value.rpartition(".")[0] for value in values if value.startswith(PACKAGES)]
    files = [Path(value) for value in values if value.startswith("/") and Path(value).is_file()]
    return modules, files


def _source_files(module: str, root: Path) -> Iterator[Path]:
    """Finds the source files of a dotted name and its parent packages within the project."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                yield path


@functools.cache
def _imported_names(path: Path, source: bytes) -> tuple[str, ...]:
    """Finds the dotted names in a file's imports, including those in functions, and in strings.

    Components share most files, so the result is cached, for exactly this content.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(
                    f"{path}: expected absolute imports, which cache keys follow, received a "
                    "relative import; use the full module name"
                )
            # The imported name may itself be a module.
            names += (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _DOTTED_PATH.fullmatch(str(node.value)):
            # The code may pass the name to importlib.
            names.append(str(node.value))
    return tuple(names)


def _file_digest(path: Path) -> str:
    return json.dumps([path.name, hashlib.sha256(path.read_bytes()).hexdigest()])
