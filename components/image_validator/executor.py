"""The executor of ImageValidator: scans the examples and writes the anomalies of each split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.common.roles import ByRole
from components.example_gen.splits import SPLITS
from components.image_validator.contact_sheet import write_sheets
from components.image_validator.files import EVIDENCE_FILE
from components.image_validator.reference import read_reference
from components.image_validator.rules import find_anomalies
from components.image_validator.scan import scan


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of ImageValidator."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Writes the anomalies, the contact sheets and the evidence.

        Raises:
          DataRejectedError: if the examples can't be read.
          InvalidReferenceError: if the schema has no valid reference.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        anomalies = artifact_utils.get_single_instance(output_dict["anomalies"])
        schema_file = io_utils.get_only_uri_in_dir(
            artifact_utils.get_single_uri(input_dict["schema"])
        )
        reference = read_reference(io_utils.parse_pbtxt_file(schema_file, schema_pb2.Schema()))
        anomalies.split_names = artifact_utils.encode_split_names(list(SPLITS))
        directories = {
            split: Path(artifact_utils.get_split_uri([anomalies], split)) for split in SPLITS
        }
        for directory in directories.values():
            directory.mkdir(parents=True, exist_ok=True)
        evidence = scan(
            self._make_beam_pipeline,
            {split: artifact_utils.get_split_uri([examples], split) for split in SPLITS},
            Path(anomalies.uri, EVIDENCE_FILE),
            reference,
        )
        findings = find_anomalies(evidence, reference)
        for split, directory in directories.items():
            message = anomalies_pb2.Anomalies(data_missing=not evidence.images(split))
            for finding in findings:
                if finding.split == split:
                    message.anomaly_info[finding.subject].description = finding.reason
            (directory / DEFAULT_FILE_NAME).write_bytes(message.SerializeToString())
        write_sheets(findings, directories)
