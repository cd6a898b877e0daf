"""Prepares the data for `run` and `schema propose`."""

from __future__ import annotations

import logging
from pathlib import Path

from rich.console import Console

from components.example_gen.sources import TFDS, ResolvedSource
from models.definition import DATASET
from pipeline.cli.console import WARNING, RunConsole
from pipeline.settings import Settings


def with_data(settings: Settings, source: ResolvedSource, run_console: RunConsole) -> Settings:
    """Prepares the data and returns the settings with the resolved source.

    Raises:
      SourceUnavailableError: TFDS could not prepare the data.
    """
    from components.example_gen.reading import prepare_tfds

    # TFX logs through absl, which other libraries may have silenced.
    logging.getLogger("absl").setLevel(logging.INFO)
    data_dir = None
    if source.source == TFDS:
        run_console.began(f"preparing {DATASET.title}")
        # A download by ExampleGen would change the data after the data stamp was computed.
        prepare_tfds(source.data_dir)
        data_dir = Path(source.data_dir).absolute()
    return settings.model_copy(update={"data": source.source, "data_dir": data_dir})


def print_warning(console: Console, warning: str | None) -> None:
    """Prints the warning of a `ResolvedSource`, if there is one."""
    if warning:
        console.print(f"WARNING: {warning}", style=WARNING, soft_wrap=True)
