"""Runs the whole pipeline on a few hundred synthetic images, for the end-to-end tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.definition import DATASET
from pipeline.cli.run import run_pipeline
from pipeline.exit_status import ExitStatus
from pipeline.runs import metadata
from pipeline.settings import SCHEMA_FILE, make_settings
from support.tfds_directory import synthetic_examples, synthetic_schema, write_tfds_dataset

TRAIN_PER_CLASS = 60
TEST_PER_CLASS = 20

# Gates that a model passes after two short epochs, but a random classifier does not.
LOOSE_GATES = {
    "accuracy_threshold": "0.7",
    "class_recall_threshold": "0",
    "max_loss": "3",
    "min_test_examples": 1,
    "min_class_examples": 1,
    "max_calibration_error": "1",
    "max_overconfidence": "1000",
    "max_latency_ratio": "1000",
    "baseline_alpha": "0",
}


@dataclass(frozen=True)
class Workspace:
    """The directories of a series of runs.

    Attributes:
      root: pipeline root.
      serving: serving directory.
      inputs: TFDS data directory, which also contains the schema.
    """

    root: Path
    serving: Path
    inputs: Path

    def settings(self, **options: object) -> Mapping[str, object]:
        """Returns settings for a small data set; options override them."""
        return {
            "data": "tfds",
            "data_dir": self.inputs,
            "schema_file": self.inputs / SCHEMA_FILE.name,
            "recipe": "notebook",  # Without averaging, which needs more steps.
            "epochs": 2,
            "batch_size": 16,
            "pipeline_root": self.root,
            "serving_dir": self.serving,
            **LOOSE_GATES,
            **options,
        }

    def run(self, **options: object) -> ExitStatus:
        """Runs the pipeline in this process."""
        return run_pipeline(make_settings(dict(self.settings(**options))), verbose=False)

    def release(self, version: str) -> Path:
        """Returns the directory of a release."""
        return self.serving / DATASET.name / version

    def versions(self) -> list[str]:
        """Returns the versions in the serving directory."""
        return sorted(path.name for path in self.serving.glob(f"{DATASET.name}/[0-9]*"))

    def last_run(self) -> dict[str, metadata.Stage]:
        """Reads the stages of the newest run from ML Metadata."""
        store = metadata.open_store(self.root / "metadata.sqlite")
        runs = store.get_contexts_by_type("pipeline_run")
        return metadata.read_run(store, max(runs, key=lambda run: run.id).name)

    def states(self) -> dict[str, str]:
        """Returns the state of each stage of the newest run."""
        return {name: stage.state for name, stage in self.last_run().items()}


def write_inputs(directory: Path) -> Path:
    """Writes synthetic data and its schema for `Workspace.inputs`; returns the directory."""
    train, test = synthetic_examples(TRAIN_PER_CLASS), synthetic_examples(TEST_PER_CLASS, seed=1)
    write_tfds_dataset(directory, train, test)
    (directory / SCHEMA_FILE.name).write_text(synthetic_schema())
    return directory
