"""A server with the same signatures as our network, and one with other signatures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.running_server import RunningServer, running_server
from support.served_models import SHADES, constant_model, push_model, shade_model


@pytest.fixture(scope="session")
def shades_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shade_model(tmp_path_factory.mktemp("shades"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, shades_model: Path) -> Iterator[RunningServer]:
    """Serves a release with 32 x 32 x 3 images and four classes, regardless of DATASET."""
    serving_dir = tmp_path_factory.mktemp("serving")
    push_model(shades_model, serving_dir)
    with running_server(serving_dir) as running:
        yield running


@pytest.fixture(scope="session")
def constant_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One model per shade, which always predicts that shade."""
    directory = tmp_path_factory.mktemp("constant")
    labels = range(len(SHADES.class_names))
    return [constant_model(directory / str(label), label) for label in labels]


@pytest.fixture(scope="session")
def other_server(
    tmp_path_factory: pytest.TempPathFactory, constant_models: list[Path]
) -> Iterator[RunningServer]:
    """Serves a model with several inputs and outputs of different types."""
    serving_dir = tmp_path_factory.mktemp("other_serving")
    push_model(constant_models[3], serving_dir)
    with running_server(serving_dir) as running:
        yield running
