from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.tfx_executors import run_executor
from tfx.types import standard_artifacts

from components.common.errors import DataRejectedError
from components.common.example_files import record_checksums
from components.verified_inputs.trainer import Executor

TRAINER = """
from pathlib import Path

def run_fn(fn_args):
    Path(fn_args.custom_config["called"]).touch()
    Path(fn_args.serving_model_dir).mkdir(parents=True)
    for path in fn_args.custom_config["replaced"]:
        Path(path).write_text("replaced")
"""


class Training:
    """Examples, and a trainer that records its call and can replace files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.examples = standard_artifacts.Examples()
        self.examples.uri = str(directory / "examples")
        self.examples.split_names = '["train", "validation", "test"]'
        for split in json.loads(self.examples.split_names):
            file = self.file(split)
            file.parent.mkdir(parents=True)
            file.write_text("records")
        record_checksums(self.examples)

    def file(self, split: str) -> Path:
        return Path(self.examples.uri) / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"

    @property
    def called(self) -> bool:
        return (self.directory / "called").exists()

    def run(self, *replaced: Path) -> None:
        """Trains; the trainer replaces the given files."""
        config = {"called": str(self.directory / "called"), "replaced": list(map(str, replaced))}
        run_executor(
            Executor,
            self.directory / "outputs",
            {"examples": self.examples},
            {"model": standard_artifacts.Model(), "model_run": standard_artifacts.ModelRun()},
            {
                "run_fn": "recording_trainer.run_fn",
                "train_args": '{"splits": ["train"]}',
                "eval_args": '{"splits": ["validation"]}',
                "custom_config": json.dumps(config),
            },
        )


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    (tmp_path / "recording_trainer.py").write_text(TRAINER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "recording_trainer", raising=False)
    return Training(tmp_path)


def test_unchanged_examples_are_trained_on(training: Training) -> None:
    training.run()
    assert training.called


def test_the_test_split_is_not_read_by_the_trainer(training: Training) -> None:
    training.file("test").write_text("replaced")
    training.run()
    assert training.called


@pytest.mark.parametrize("change", ["content", "name", "new file", "missing"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_replaced_records_stop_the_training(training: Training, split: str, change: str) -> None:
    file = training.file(split)
    if change == "content":
        file.write_text("replaced")
    elif change == "name":
        file.rename(file.with_name("other.gz"))
    elif change == "new file":
        file.with_name("new.gz").touch()
    else:
        file.unlink()
    with pytest.raises(
        DataRejectedError,
        match=rf"^the files of split {split} differ .* Delete {training.examples.uri} and run the",
    ):
        training.run()
    assert not training.called


def test_records_replaced_during_the_training_fail_it(training: Training) -> None:
    with pytest.raises(DataRejectedError, match=r"^the files of split train differ"):
        training.run(training.file("train"))
    assert training.called


def test_examples_without_checksums_are_rejected(training: Training) -> None:
    unknown = standard_artifacts.Examples()
    unknown.uri, unknown.split_names = training.examples.uri, training.examples.split_names
    training.examples = unknown
    with pytest.raises(DataRejectedError, match=r"^the files of split train differ"):
        training.run()
