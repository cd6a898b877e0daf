"""The executor of DataGate: raises an error if any split has anomalies."""

import os
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import Artifact, artifact_utils

from components.common.errors import DataRejectedError
from components.common.roles import ByRole
from components.data_gate.anomalies import list_reasons
from components.example_gen.splits import SPLITS

_VALIDATORS = {"anomalies": "ExampleValidator", "image_anomalies": "ImageValidator"}
"""Components that record anomalies, by input."""


class Executor(base_executor.BaseExecutor):
    """Executor of DataGate."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Writes the verdict, {"blessed": true, "splits": […]}, if every split passes.

        Raises:
          DataRejectedError: if a split has anomalies or was not validated.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs = [
            (validator, artifact_utils.get_single_instance(input_dict[role]))
            for role, validator in _VALIDATORS.items()
        ]
        verdict = artifact_utils.get_single_instance(output_dict["verdict"])
        for validator, anomalies in inputs:
            _check_splits(validator, anomalies)
        findings = [
            f"{split}: {reason}"
            for split in SPLITS
            for validator, anomalies in inputs
            for reason in _read_reasons(validator, anomalies, split)
        ]
        if findings:
            raise DataRejectedError(
                "the data does not satisfy the reviewed schema: "
                + "; ".join(findings)
                + "; correct the data, or update the schema if the data is right"
            )
        verdict.write({"blessed": True, "splits": list(SPLITS)})


def _check_splits(validator: str, anomalies: Artifact) -> None:
    validated = artifact_utils.decode_split_names(anomalies.split_names or "[]")
    missing = [split for split in SPLITS if split not in validated]
    if missing:
        raise DataRejectedError(
            f"the splits {', '.join(SPLITS)} must all be validated, but {validator} skipped "
            f"{', '.join(missing)}; clear its exclude_splits"
        )


def _read_reasons(validator: str, anomalies: Artifact, split: str) -> list[str]:
    path = os.path.join(artifact_utils.get_split_uri([anomalies], split), DEFAULT_FILE_NAME)
    if not fileio.exists(path):
        raise DataRejectedError(f"{validator}'s output {path} is missing; run the pipeline again")
    with fileio.open(path, "rb") as file:
        content = file.read()
    try:
        return list_reasons(anomalies_pb2.Anomalies.FromString(content))
    except DecodeError as error:
        raise DataRejectedError(
            f"{validator}'s output {path} is corrupt ({error}); run the pipeline again"
        ) from error
