"""Shared fixtures: a transform graph, small data sets and a trained model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_trainings import train, write_data, write_transform_graph
from support.tfds_directory import synthetic_examples
from tensorflow_transform.output_wrapper import TFTransformOutput

from models.features import NUM_CLASSES


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The transform graph of `preprocessing_fn`."""
    directory = tmp_path_factory.mktemp("transform") / "transform_graph"
    write_transform_graph(directory)
    return directory


@pytest.fixture(scope="session")
def tft_output(transform_graph: Path) -> TFTransformOutput:
    return TFTransformOutput(str(transform_graph))


def _data(directory: Path, transform_graph: Path, train: int, validation: int) -> Path:
    (directory / "transform_graph").symlink_to(transform_graph)
    return write_data(directory, synthetic_examples(train + validation), NUM_CLASSES * train)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, transform_graph: Path) -> Path:
    """100 training images and 20 validation images per class."""
    return _data(tmp_path_factory.mktemp("data"), transform_graph, 100, 20)


@pytest.fixture(scope="session")
def little_data(tmp_path_factory: pytest.TempPathFactory, transform_graph: Path) -> Path:
    """20 training images and 5 validation images per class."""
    return _data(tmp_path_factory.mktemp("little_data"), transform_graph, 20, 5)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The output of training for 3 epochs on `data`."""
    return train(data, tmp_path_factory.mktemp("trained"), epochs=3, batch_size=32, seed=1)
