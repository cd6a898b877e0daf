"""Measures the image statistics of a data set, as a basis for a schema."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline

from components.data_gate.schema import Measured, facts_schema
from components.example_gen.component import ImageExampleGen
from components.example_gen.splits import SPLITS
from components.image_validator.measure import measure_reference
from components.image_validator.reference import Reference
from models.definition import DATASET
from pipeline.runs.local_runner import Observer, run_locally
from pipeline.settings import Settings
from pipeline.stages import EXAMPLE_GEN, STATISTICS_GEN


def measure(settings: Settings, observer: Observer) -> tuple[dict[str, Measured], Reference, str]:
    """Runs ExampleGen and StatisticsGen in the settings' pipeline root, then scans the images.

    Args:
      settings: settings with the data source `tfds` or `bundled`, not `auto`.
      observer: called at the start and end of each stage.

    Returns:
      The values of each statistic, the reference of the images, and a description of the data: the
      arguments of `propose_schema`.

    Raises:
      Exception: any error that ended a stage, such as DataRejectedError.
    """
    root = settings.pipeline_root.absolute()
    schema = root / "facts.pbtxt"
    schema.write_text(facts_schema())
    example_gen = ImageExampleGen(
        source=settings.data, data_dir=str(settings.data_dir or ""), limit=settings.limit
    )
    schema_gen = ImportSchemaGen(schema_file=str(schema))
    statistics_gen = StatisticsGen(
        examples=example_gen.outputs["examples"], schema=schema_gen.outputs["schema"]
    )
    result = run_locally(
        Pipeline(
            pipeline_name=DATASET.name,
            pipeline_root=str(root),
            components=[example_gen, schema_gen, statistics_gen],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(root / "metadata.sqlite")
            ),
            beam_pipeline_args=list(settings.beam_args),
        ),
        observer,
    )
    if result.error:
        raise result.error
    (statistics,) = result.stages[STATISTICS_GEN].outputs["statistics"]
    measured = _read(sorted(Path(statistics.uri).glob("Split-*/FeatureStats.pb")))
    (examples,) = result.stages[EXAMPLE_GEN].outputs["examples"]
    images = sum(examples.properties[f"count_{split}"] for split in SPLITS)
    reference = measure_reference(
        lambda: beam.Pipeline(argv=list(settings.beam_args)),
        {split: f"{examples.uri}/Split-{split}" for split in SPLITS},
        root,
    )
    return measured, reference, f"{images:,} images of {examples.properties['source']}"


def _read(files: list[Path]) -> dict[str, Measured]:
    """Merges the splits, weighting the mean by the number of images."""
    parsed = (statistics_pb2.DatasetFeatureStatisticsList.FromString(f.read_bytes()) for f in files)
    splits = [datasets.datasets[0] for datasets in parsed]
    measured: dict[str, Measured] = {}
    for name in DATASET.image_statistics:
        numbers = [
            (feature.num_stats, split.num_examples)
            for split in splits
            for feature in split.features
            if feature.path.step[:] == [name]
        ]
        total = sum(count for _, count in numbers)
        measured[name] = Measured(
            minimum=min(number.min for number, _ in numbers),
            maximum=max(number.max for number, _ in numbers),
            mean=sum(number.mean * count for number, count in numbers) / total,
        )
    return measured
