"""The executor of ExampleGen: counts the labels, plans the splits and writes the examples."""

import dataclasses
import json
import os
from typing import Any

import apache_beam as beam
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils

from components.common.errors import DataRejectedError
from components.common.example_files import record_checksums
from components.common.roles import ByRole
from components.example_gen.reading import Reader, make_reader
from components.example_gen.sources import source_name
from components.example_gen.splits import SPLITS, make_plan, make_slices
from components.example_gen.writing import Summary, combine, count_labels, write_slice

EXAMPLES_PER_SLICE = 20_000
"""Number of examples that a worker processes at a time. Each slice becomes one file per split."""


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of ImageExampleGen."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Writes the examples and sets the artifact's properties (see `ImageExampleGen`).

        Raises:
          SourceUnavailableError: if no data is prepared and the download fails.
          DataRejectedError: if the data can't be read, doesn't match the data definition, or leaves
            a split empty.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")
        source = exec_properties["source"]
        reader = make_reader(source, exec_properties["data_dir"])
        summary = self._write(reader, examples, exec_properties["limit"])
        _check(summary)
        _describe(examples, summary, source_name(source))
        record_checksums(examples)

    def _write(self, reader: Reader, examples: Artifact, limit: int) -> Summary:
        """Runs two passes in one Beam pipeline: counts the labels, then writes the examples."""
        slices = make_slices(reader.sizes(), EXAMPLES_PER_SLICE)
        uris = {split: artifact_utils.get_split_uri([examples], split) for split in SPLITS}
        summary_path = os.path.join(self._get_tmp_dir(), "summary.json")
        with self._make_beam_pipeline() as pipeline:
            parts = pipeline | beam.Create(slices) | beam.Reshuffle()
            plan = (
                parts
                | "CountLabels" >> beam.Map(count_labels, reader)
                | "GatherCounts" >> beam.combiners.ToList()
                | "Plan" >> beam.Map(make_plan, reader.rules(), limit)
            )
            _ = (
                parts
                | "Write" >> beam.Map(write_slice, reader, uris, beam.pvalue.AsSingleton(plan))
                | "GatherSummaries" >> beam.combiners.ToList()
                | "Combine" >> beam.Map(combine)
                | "Save" >> beam.Map(_save, summary_path)
            )
        with fileio.open(summary_path) as file:
            return Summary(**json.load(file))


def _save(summary: Summary, path: str) -> None:
    with fileio.open(path, "w") as file:
        file.write(json.dumps(dataclasses.asdict(summary)))


def _check(summary: Summary) -> None:
    if summary.error:
        raise DataRejectedError(summary.error)
    counts = {split: sum(labels.values()) for split, labels in summary.labels.items()}
    if not all(counts.values()):
        raise DataRejectedError(
            f"each split needs at least one example, received {counts}; "
            "raise the limit or use more data"
        )


def _describe(examples: Artifact, summary: Summary, source: str) -> None:
    examples.set_string_custom_property("source", source)
    examples.set_string_custom_property("fingerprint", summary.fingerprint)
    examples.set_string_custom_property("label_counts", json.dumps(summary.labels))
    for split, labels in summary.labels.items():
        examples.set_int_custom_property(f"count_{split}", sum(labels.values()))
