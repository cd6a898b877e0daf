"""A server with our network, and one with signatures of other kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.running_server import RunningServer, running_server
from support.served_models import constant_model, push_model, trained_model


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serves our network."""
    serving_dir = tmp_path_factory.mktemp("serving")
    push_model(trained_model(), serving_dir)
    with running_server(serving_dir) as running:
        yield running


@pytest.fixture(scope="session")
def constant_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """For each of the first four digits, a model that takes everything for it."""
    directory = tmp_path_factory.mktemp("constant")
    return [constant_model(directory / str(digit), digit) for digit in range(4)]


@pytest.fixture(scope="session")
def other_server(
    tmp_path_factory: pytest.TempPathFactory, constant_models: list[Path]
) -> Iterator[RunningServer]:
    """Serves a model with several inputs, outputs and types."""
    serving_dir = tmp_path_factory.mktemp("other_serving")
    push_model(constant_models[3], serving_dir)
    with running_server(serving_dir) as running:
        yield running
