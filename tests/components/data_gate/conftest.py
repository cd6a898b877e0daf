"""Fixtures that run the executors of the components from ExampleGen to DataGate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.tfds_directory import Examples, synthetic_schema, write_tfds_dataset

if TYPE_CHECKING:
    from tfx.types import Artifact


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[[Examples, Examples], Artifact]:
    """Runs ExampleGen's executor on official training and test examples."""
    from support.tfx_executors import run_executor
    from tfx.types import standard_artifacts

    from components.example_gen.executor import Executor

    def run(train: Examples, test: Examples) -> Artifact:
        write_tfds_dataset(tmp_path / "data", train, test)
        examples = standard_artifacts.Examples()
        parameters = {"source": "tfds", "data_dir": str(tmp_path / "data"), "limit": 0}
        run_executor(Executor, tmp_path / "example_gen", {}, {"examples": examples}, parameters)
        return examples

    return run


@pytest.fixture
def validate(tmp_path: Path) -> Callable[[Artifact], tuple[Artifact, Artifact]]:
    """Runs StatisticsGen, ExampleValidator and ImageValidator; returns both kinds of anomalies."""
    from support.tfx_executors import run_executor
    from tfx.components.example_validator.executor import Executor as ExampleValidator
    from tfx.components.statistics_gen.executor import Executor as StatisticsGen
    from tfx.types import standard_artifacts

    from components.image_validator.executor import Executor as ImageValidator

    def run(examples: Artifact) -> tuple[Artifact, Artifact]:
        schema = standard_artifacts.Schema()
        schema.uri = str(tmp_path / "schema")
        Path(schema.uri).mkdir()
        (tmp_path / "schema" / "schema.pbtxt").write_text(synthetic_schema())
        statistics = standard_artifacts.ExampleStatistics()
        inputs = {"examples": examples, "schema": schema}
        directory = tmp_path / "statistics_gen"
        run_executor(StatisticsGen, directory, inputs, {"statistics": statistics}, {})
        anomalies = standard_artifacts.ExampleAnomalies()
        inputs = {"statistics": statistics, "schema": schema}
        directory = tmp_path / "example_validator"
        run_executor(ExampleValidator, directory, inputs, {"anomalies": anomalies}, {})
        image_anomalies = standard_artifacts.ExampleAnomalies()
        inputs = {"examples": examples, "schema": schema}
        directory = tmp_path / "image_validator"
        run_executor(ImageValidator, directory, inputs, {"anomalies": image_anomalies}, {})
        return anomalies, image_anomalies

    return run


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[Artifact, Artifact], Artifact]:
    """Runs DataGate's executor on both kinds of anomalies; returns the verdict."""
    from support.tfx_executors import run_executor
    from tfx.types import standard_artifacts

    from components.data_gate.executor import Executor

    def run(anomalies: Artifact, image_anomalies: Artifact) -> Artifact:
        verdict = standard_artifacts.JsonValue()
        (tmp_path / "data_gate").mkdir()
        inputs = {"anomalies": anomalies, "image_anomalies": image_anomalies}
        run_executor(Executor, tmp_path / "data_gate", inputs, {"verdict": verdict}, {})
        return verdict

    return run
