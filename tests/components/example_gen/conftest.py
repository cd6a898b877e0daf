"""Prepared TFDS data, synthetic and full MNIST, and fixtures that run ExampleGen's executor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.tfds_directory import Examples, synthetic_examples, write_tfds_dataset

from components.example_gen import reading, sources
from models.definition import DATASET

if TYPE_CHECKING:
    from tfx.types import Artifact


@pytest.fixture(scope="session")
def originals() -> tuple[Examples, Examples]:
    """60 training images and 20 test images of each class."""
    return synthetic_examples(60), synthetic_examples(20, seed=1)


@pytest.fixture(scope="session")
def small_data(
    originals: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A TFDS data directory with the examples of `originals`."""
    data_dir = tmp_path_factory.mktemp("tensorflow_datasets")
    write_tfds_dataset(data_dir, *originals)
    return data_dir


@pytest.fixture(scope="session")
def full_mnist() -> Path:
    """A TFDS data directory with the full MNIST data set. Skips the test if there is none."""
    if DATASET.name != "mnist" or not sources.is_prepared(""):
        pytest.skip(
            f"needs the full MNIST data set, prepared by TFDS in {sources.default_data_dir()}"
        )
    return sources.default_data_dir()


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[..., Artifact]:
    """Runs ExampleGen's executor and writes its artifact to a directory with the given name."""

    def run(
        source: str, data_dir: Path | str = "", limit: int = 0, name: str = "example_gen"
    ) -> Artifact:
        return _ingest(tmp_path / name, source, data_dir, limit)

    return run


@pytest.fixture(scope="session")
def ingested(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """ExampleGen's output for `small_data`."""
    return _ingest(tmp_path_factory.mktemp("ingested"), "tfds", small_data)


def _ingest(directory: Path, source: str, data_dir: Path | str, limit: int = 0) -> Artifact:
    from support.tfx_executors import run_executor
    from tfx.types import standard_artifacts

    from components.example_gen.executor import Executor

    examples = standard_artifacts.Examples()
    parameters = {"source": source, "data_dir": str(data_dir), "limit": limit}
    run_executor(Executor, directory, {}, {"examples": examples}, parameters)
    return examples


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Overrides fields of the data definition for the modules of ExampleGen."""

    def change(**fields: object) -> None:
        changed = DATASET.model_copy(update=fields)
        for module in (sources, reading):
            monkeypatch.setattr(module, "DATASET", changed)

    return change
