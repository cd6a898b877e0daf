from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path

import pytest
from benchmarks import bench_pipeline
from benchmarks.bench_pipeline import Measured, make_schedule, measure
from benchmarks.bench_results import PLAIN, STOCK

from models.definition import DATASET
from models.progress import HISTORY_FILE, TrainingProgress
from models.recipes import DEFAULT_RECIPE, RECIPES
from pipeline.cli.console import RunConsole, make_console
from pipeline.runs.metadata import Stage
from pipeline.stages import EVALUATOR


def test_recipes_alternate_with_the_other_contenders() -> None:
    contenders = [PLAIN, STOCK, DEFAULT_RECIPE, "other", "third"]
    names = [name for name, _ in make_schedule(contenders, rounds=1, seeds=1)]
    assert names == [PLAIN, DEFAULT_RECIPE, STOCK, "other", "third"]


def test_more_seeds_than_rounds_repeat_only_the_default_recipe() -> None:
    schedule = list(make_schedule([PLAIN, DEFAULT_RECIPE], rounds=2, seeds=4))
    assert schedule == [
        *[(PLAIN, 0), (DEFAULT_RECIPE, 0), (PLAIN, 1), (DEFAULT_RECIPE, 1)],
        *[(DEFAULT_RECIPE, 2), (DEFAULT_RECIPE, 3)],
    ]
    assert list(make_schedule([PLAIN], rounds=1, seeds=4)) == [(PLAIN, 0)]


def measured(lines: list[tuple[float, str]], stdout: str) -> Measured:
    """A process of 20 s with 2 busy threads in its second half."""
    samples = [(0.0, 0.0), (10.0, 0.0), (20.0, 20.0)]
    return Measured(20.0, 20.0, 1, lines, samples, stdout)


def test_steps_and_epochs_of_a_script() -> None:
    facts = bench_pipeline.read_other(
        measured(
            [
                (2.0, "INFO:absl:Component Trainer is running.\n"),
                (8.0, "Component fit is running.\n"),
                (9.0, "epoch 1: val_accuracy 0.5\n"),
                (12.0, "epoch 2: val_accuracy 0.75\n"),
                (12.0, "Component fit is finished.\n"),
                (15.0, "INFO:absl:Component Trainer is finished.\n"),
            ],
            'accuracy 75%\n{"correct": 3}\n',
        )
    )
    assert facts == {
        "steps": {"fit": [4.0, 4.0], "Trainer": [13.0, 10.0]},
        "epochs": [[0.5, 9.0], [0.75, 12.0]],
        "correct": 3,
    }


def test_steps_and_epochs_of_this_pipeline(tmp_path: Path) -> None:
    directory = tmp_path / "Trainer" / "model_run" / "7"
    directory.mkdir(parents=True)
    epochs = [{"val_accuracy": 0.912345, "seconds": 2.0}, {"val_accuracy": 0.95, "seconds": 3.0}]
    (directory / HISTORY_FILE).write_text(json.dumps({"epochs": epochs}))
    outcome = {
        "stages": [{"name": EVALUATOR, "state": "COMPLETE", "seconds": 2.0}],
        "data": {"counts": {"train": 54_000, "validation": 6_000, "test": 10_000}},
        "metrics": {"correct": 9_938, "examples": 10_000},
    }
    lines = [
        *((time, line) for time in (11.0, 14.0) for line in printed_epoch()),
        (16.0, printed_stage(Stage(EVALUATOR, 9, "COMPLETE", 2.0))),
        (17.0, "training     2 epochs, validation accuracy 95.00% in the exported epoch, 2\n"),
    ]
    facts = bench_pipeline.read_own(measured(lines, json.dumps(outcome)), tmp_path)
    assert facts == {
        "steps": {EVALUATOR: [2.0, 4.0], "fit": [5.0, 8.0]},
        "epochs": [[0.912345, 11.0], [0.95, 14.0]],
        "train_images": 54_000,
        "correct": 9_938,
        "test_images": 10_000,
    }


def printed_stage(stage: Stage) -> str:
    stream = io.StringIO()
    RunConsole(make_console(stream)).ended(stage)
    return stream.getvalue()


def printed_epoch() -> list[str]:
    """The lines of an epoch of two steps."""
    stream = io.StringIO()
    console = RunConsole(make_console(stream))
    for step, metrics in ((1, {"accuracy": 0.8}), (2, {"accuracy": 0.9, "val_accuracy": 0.91})):
        record = logging.makeLogRecord({"progress": TrainingProgress(1, 2, step, 2, metrics)})
        console.emit(record)
    return stream.getvalue().splitlines(keepends=True)


BUSY_CHILDREN = """
import subprocess, sys
code = "import time; held = bytearray(2**28)\\nwhile time.process_time() < 1.5: pass"
print("Component children is running.", file=sys.stderr, flush=True)
children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
print([child.wait() for child in children])
"""


def test_measurement_includes_children(tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    result = measure([sys.executable, "-c", BUSY_CHILDREN], log)
    assert result.stdout == "[0, 0]\n"
    assert result.cpu_seconds >= 3
    assert result.peak_bytes >= 2 * 2**28
    assert result.step(0, result.seconds)[1] == pytest.approx(result.cpu_seconds, abs=1e-3)
    assert result.cpu_samples[-2][1] > 1  # The samples include children, too.
    assert log.read_text() == "Component children is running.\n" == result.lines[0][1]


def test_failure_names_the_log(tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    with pytest.raises(RuntimeError, match=rf"exit status 3 of .*: see {log}"):
        measure([sys.executable, "-c", "raise SystemExit(3)"], log)


def test_unknown_contender_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_pipeline.parse_options(["--contenders=plain,fancy"])
    assert f"expected contenders of plain, stock, {DEFAULT_RECIPE}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
def test_benchmark_of_a_few_digits_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "results.json"
    options = f"--data=bundled --limit=600 --epochs=0.1 --work={tmp_path} --output={output}"
    monkeypatch.setattr(sys, "argv", ["bench_pipeline", *options.split()])
    bench_pipeline.main()
    results = json.loads(output.read_text())
    assert set(results["contenders"]) == {PLAIN, STOCK, *RECIPES}
    for facts in results["contenders"].values():
        assert 0 < facts["steps"]["fit"][0] < facts["seconds"]
        assert 0 < facts["steps"]["fit"][1] < facts["cpu_seconds"]
        assert facts["peak_bytes"] > 2**28
    assert results["contenders"][DEFAULT_RECIPE]["rerun_seconds"] > 0
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--resume"])
    bench_pipeline.main()
    assert json.loads(output.read_text())["runs"] == results["runs"]
