"""Paths, checksums and records of TFX artifacts."""

from __future__ import annotations

import json
from pathlib import Path

from tfx.types import Artifact
from tfx.utils import path_utils

from components.common.checksums import directory_sha256, model_sha256
from components.common.properties import ORIGIN_URI
from components.common.provenance import ArtifactRecord, Data


def saved_model_path(model: Artifact) -> Path:
    """Returns the directory of the SavedModel in an artifact of type Model."""
    return Path(path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)))


def saved_model_sha256(model: Artifact) -> str:
    """Returns the checksum of the SavedModel in an artifact of type Model."""
    return model_sha256(directory_sha256(saved_model_path(model)))


def artifact_record(artifact: Artifact) -> ArtifactRecord:
    """Describes an artifact. For a local copy, uses the URI of the original."""
    uri = artifact.get_string_custom_property(ORIGIN_URI) or str(artifact.uri)
    return ArtifactRecord(id=artifact.id, type=artifact.type_name, uri=uri)


def data_record(examples: Artifact) -> Data:
    """Describes the data, based on the custom properties that ExampleGen sets."""
    return Data(
        source=examples.get_string_custom_property("source") or None,
        fingerprint=examples.get_string_custom_property("fingerprint") or None,
        counts={
            split: examples.get_int_custom_property(f"count_{split}")
            for split in json.loads(examples.split_names or "[]")
            if examples.has_custom_property(f"count_{split}")
        },
    )
