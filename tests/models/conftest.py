"""A transform graph, and trainings behind it, that the tests of the models share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_trainings import train, write_data, write_transform_graph
from tensorflow_transform.output_wrapper import TFTransformOutput


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph that TFT makes of `preprocessing_fn`."""
    directory = tmp_path_factory.mktemp("transform") / "transform_graph"
    write_transform_graph(directory)
    return directory


@pytest.fixture(scope="session")
def tft_output(transform_graph: Path) -> TFTransformOutput:
    return TFTransformOutput(str(transform_graph))


def _data(directory: Path, transform_graph: Path, train_count: int, validation: int) -> Path:
    (directory / "transform_graph").symlink_to(transform_graph)
    return write_data(directory, train_count, validation)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, transform_graph: Path) -> Path:
    """2,000 digits to train on and 500 to validate with."""
    return _data(tmp_path_factory.mktemp("data"), transform_graph, 2000, 500)


@pytest.fixture(scope="session")
def little_data(tmp_path_factory: pytest.TempPathFactory, transform_graph: Path) -> Path:
    """200 digits to train on and 50 to validate with."""
    return _data(tmp_path_factory.mktemp("little_data"), transform_graph, 200, 50)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """What a training of 3 epochs on `data` has written."""
    return train(data, tmp_path_factory.mktemp("trained"), epochs=3, batch_size=32, seed=1)
