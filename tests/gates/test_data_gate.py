"""Runs each case of data_cases.py through the components from ExampleGen to DataGate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from gates.data_cases import CASES, Case, honest
from support.tfds_directory import write_tfds_dataset
from support.tfx_executors import run_executor
from tfx.components.example_validator.executor import Executor as ExampleValidator
from tfx.components.statistics_gen.executor import Executor as StatisticsGen
from tfx.types import Artifact, standard_artifacts

from components.common.errors import DataRejectedError
from components.data_gate.executor import Executor as DataGate
from components.example_gen.executor import Executor as ExampleGen
from components.image_validator.executor import Executor as ImageValidator
from models.definition import DATASET
from pipeline.settings import SCHEMA_FILE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST"),
]


def run_gate(directory: Path, parameters: Mapping[str, Any]) -> None:
    """Runs the components. Raises DataRejectedError if the gate rejects the data."""
    schema = standard_artifacts.Schema()
    schema.uri = str(directory / "schema")
    Path(schema.uri).mkdir()
    Path(schema.uri, SCHEMA_FILE.name).write_text(SCHEMA_FILE.read_text())
    examples, statistics = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    anomalies, image_anomalies = (standard_artifacts.ExampleAnomalies() for _ in range(2))
    verdict = standard_artifacts.JsonValue()
    defaults = {"data_dir": "", "limit": 0}

    def run(executor: Any, inputs: dict[str, Artifact], **outputs: Artifact) -> None:
        (directory / executor.__module__).mkdir()
        values = {**defaults, **parameters} if executor is ExampleGen else {}
        run_executor(executor, directory / executor.__module__, inputs, outputs, values)

    run(ExampleGen, {}, examples=examples)
    run(ImageValidator, {"examples": examples, "schema": schema}, anomalies=image_anomalies)
    run(StatisticsGen, {"examples": examples, "schema": schema}, statistics=statistics)
    run(ExampleValidator, {"statistics": statistics, "schema": schema}, anomalies=anomalies)
    both = {"anomalies": anomalies, "image_anomalies": image_anomalies}
    run(DataGate, both, verdict=verdict)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_gate_decides_each_case(case: Case, tmp_path: Path) -> None:
    write_tfds_dataset(tmp_path / "data", *case.make(*honest()))
    parameters = {"source": "tfds", "data_dir": str(tmp_path / "data")}
    if not case.expected:
        run_gate(tmp_path, parameters)
        return
    with pytest.raises(DataRejectedError) as caught:
        run_gate(tmp_path, parameters)
    for text in case.expected:
        assert text in str(caught.value)


@pytest.mark.parametrize("limit", [0, 200, 1000])
def test_the_bundled_sample_passes(limit: int, tmp_path: Path) -> None:
    run_gate(tmp_path, {"source": "bundled", "limit": limit})


@pytest.mark.parametrize("limit", [0, 300, 5000])
def test_the_full_data_set_passes(limit: int, tmp_path: Path) -> None:
    from components.example_gen.sources import default_data_dir, is_prepared

    if not is_prepared(""):
        pytest.skip(f"needs {DATASET.title}, prepared by TFDS in {default_data_dir()}")
    run_gate(tmp_path, {"source": "tfds", "limit": limit})
