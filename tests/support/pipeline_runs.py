"""Runs of the whole pipeline on a small slice of real digits, for the end-to-end tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.run import run_pipeline
from pipeline.exit_status import ExitStatus
from pipeline.runs import metadata
from pipeline.settings import make_settings

# Loose enough for a model of three short epochs, and far above chance.
LOOSE_GATES = {
    "accuracy_threshold": "0.5",
    "class_recall_threshold": "0",
    "max_loss": "3",
    "min_test_examples": 100,
    "baseline_tolerance": "1",
}


@dataclass(frozen=True)
class Place:
    """Where runs keep their things."""

    root: Path
    serving: Path

    def run(self, **options: object) -> ExitStatus:
        """Runs the pipeline in this process, with settings that suit a small slice."""
        values = {
            "data": "bundled",
            "limit": 1500,
            "epochs": 3,
            "batch_size": 16,
            "pipeline_root": self.root,
            "serving_dir": self.serving,
            **LOOSE_GATES,
            **options,
        }
        return run_pipeline(make_settings(values), verbose=False)

    def versions(self) -> list[str]:
        """Versions that a server would see."""
        return sorted(path.name for path in self.serving.glob("mnist/[0-9]*"))

    def last_run(self) -> dict[str, metadata.Stage]:
        """The stages of the newest run, as ML Metadata has them."""
        store = metadata.open_store(self.root / "metadata.sqlite")
        runs = store.get_contexts_by_type("pipeline_run")
        return metadata.read_run(store, max(runs, key=lambda run: run.id).name)

    def states(self) -> dict[str, str]:
        """State of each stage of the newest run."""
        return {name: stage.state for name, stage in self.last_run().items()}
