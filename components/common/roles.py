"""The type of an executor's inputs and outputs."""

from tfx.types import Artifact

ByRole = dict[str, list[Artifact]]
"""Artifacts, keyed by the name of a component's input or output."""
