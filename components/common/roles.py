"""The artifacts that TFX hands to an executor."""

from tfx.types import Artifact

ByRole = dict[str, list[Artifact]]
"""Artifacts by the key of a component's input or output."""
