"""Tests a run from data to a pushed model, and later runs on the same pipeline root.

The tests run in order. Each one continues from the state after the previous test.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from support.html_check import Page
from support.pipeline_runs import TEST_PER_CLASS, TRAIN_PER_CLASS, Workspace

from components.report.rendering import short_uri
from models.definition import DATASET
from models.features import IMAGE, IMAGE_BYTES, NUM_CLASSES, PROBABILITIES
from pipeline.exit_status import ExitStatus
from pipeline.stages import (
    BASELINE,
    EVALUATOR,
    EXAMPLE_GEN,
    MODEL_GATE,
    PUSHER,
    STAGES,
    TRAINER,
)


def report_of(workspace: Workspace) -> Path:
    """Returns the report page of the newest run."""
    return max((workspace.root / "reports").glob("*/report.html"))


def test_first_run_pushes_a_model(
    shared_workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    assert shared_workspace.run() == ExitStatus.SUCCESS
    printed = capfd.readouterr().out

    states = shared_workspace.states()
    assert sorted(states) == sorted(STAGES)
    assert set(states.values()) == {"COMPLETE"}
    assert len(shared_workspace.versions()) == 1
    for stage in STAGES:
        assert stage in printed
    official, test = TRAIN_PER_CLASS * NUM_CLASSES, TEST_PER_CLASS * NUM_CLASSES
    validation = round(official * DATASET.validation_share)
    train = official - validation
    assert f"{train:,} train, {validation:,} validation, {test:,} test images" in printed
    assert f"{BASELINE:<18}done" in printed
    assert "none yet" in printed
    assert "Running launcher" not in printed, "TFX's log belongs in its file"
    assert f"report       {report_of(shared_workspace)}" in printed
    *_, title, report, serve, predict = printed.splitlines()
    assert title == "Next:"
    assert f"mnist-pipeline report --open --pipeline-root {shared_workspace.root}  " in report
    assert f"mnist-pipeline serve --serving-dir {shared_workspace.serving}  " in serve
    assert f"mnist-pipeline predict PICTURE --serving-dir {shared_workspace.serving}  " in predict


def test_log_file_has_the_output_of_tfx(shared_workspace: Workspace) -> None:
    (log,) = (shared_workspace.root / "logs").iterdir()
    assert "Running launcher" in log.read_text()


def test_pushed_model_predicts(shared_workspace: Workspace) -> None:
    (version,) = shared_workspace.versions()
    served = tf.saved_model.load(str(shared_workspace.release(version)))
    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(bytes(IMAGE_BYTES))
    outputs = served.signatures["serving_default"](tf.constant([example.SerializeToString()]))
    assert float(tf.reduce_sum(outputs[PROBABILITIES])) == pytest.approx(1, abs=1e-5)


def test_report_shows_the_release_and_its_lineage(shared_workspace: Workspace) -> None:
    (version,) = shared_workspace.versions()
    page = Page(report_of(shared_workspace).read_text(encoding="utf-8"))
    assert "✓ blessed" in page.text
    assert f"released as version {version}" in page.text
    stages = shared_workspace.last_run()
    examples = stages[EXAMPLE_GEN].outputs["examples"][0]
    assert examples.properties["fingerprint"] in page.text
    for artifact in (stages[PUSHER].outputs["pushed_model"][0], examples):
        assert short_uri(artifact.uri) in page.text
    assert "(this run)" in page.text


def test_manifest_has_the_provenance(shared_workspace: Workspace) -> None:
    (version,) = shared_workspace.versions()
    text = (shared_workspace.release(version) / "release.json").read_text(encoding="utf-8")
    examples = shared_workspace.last_run()[EXAMPLE_GEN].outputs["examples"][0]
    assert examples.properties["fingerprint"] in text
    assert examples.properties["source"] in text


def test_rerun_without_changes_uses_the_cache(
    shared_workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    versions = shared_workspace.versions()
    assert shared_workspace.run() == ExitStatus.SUCCESS
    states = shared_workspace.states()
    assert states.pop(PUSHER) == "COMPLETE", "the Pusher always checks the served releases"
    assert set(states.values()) == {"CACHED"}
    assert shared_workspace.versions() == versions
    assert "up to date" in capfd.readouterr().out
    assert "already released as version" in report_of(shared_workspace).read_text(encoding="utf-8")


def test_deleted_release_is_pushed_again_from_the_cache(shared_workspace: Workspace) -> None:
    shutil.rmtree(shared_workspace.serving)
    assert shared_workspace.run() == ExitStatus.SUCCESS
    assert shared_workspace.states()[TRAINER] == "CACHED"
    assert len(shared_workspace.versions()) == 1


def test_rejected_model_does_not_replace_the_served_model(
    shared_workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    versions = shared_workspace.versions()
    assert shared_workspace.run(max_loss="0.0000001") == ExitStatus.MODEL_REJECTED
    states = shared_workspace.states()
    assert (states[EVALUATOR], states[MODEL_GATE]) == ("CACHED", "COMPLETE")
    assert states[PUSHER] == "CANCELED"
    assert shared_workspace.versions() == versions
    printed = capfd.readouterr().out
    assert "Model rejected: loss " in printed
    assert f"{PUSHER:<18}skipped" in printed
    assert f"{PUSHER} 0" not in printed, "the Pusher is not among the stage times"
    assert f"report       {report_of(shared_workspace)}" in printed
    text = Page(report_of(shared_workspace).read_text(encoding="utf-8")).text
    assert "✗ not blessed" in text
    assert "not pushed" in text


def test_failure_to_write_the_report_does_not_change_the_exit_status(
    shared_workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    reports = shared_workspace.root / "reports"
    reports.rename(shared_workspace.root / "other")
    reports.write_text("a file instead of the directory")
    assert shared_workspace.run() == ExitStatus.SUCCESS
    assert "report       WARNING: could not render the page: " in capfd.readouterr().out
    reports.unlink()


def test_changed_setting_reruns_its_stage_and_the_later_ones(shared_workspace: Workspace) -> None:
    assert shared_workspace.run(seed=7) == ExitStatus.SUCCESS
    states = shared_workspace.states()
    first = STAGES.index(TRAINER)
    assert {states[name] for name in STAGES[:first]} == {"CACHED"}
    assert {states[name] for name in STAGES[first:]} == {"COMPLETE"}
    assert len(shared_workspace.versions()) == 2


def test_second_model_is_compared_with_the_first(shared_workspace: Workspace) -> None:
    blessing = shared_workspace.last_run()[MODEL_GATE].outputs["blessing"][0]
    verdict = json.loads(Path(blessing.uri, "verdict.json").read_text())
    assert verdict["metrics"]["baseline_accuracy"] is not None


def test_rerun_of_the_second_model_uses_the_cache(shared_workspace: Workspace) -> None:
    assert shared_workspace.run(seed=7) == ExitStatus.SUCCESS
    states = shared_workspace.states()
    assert (states[EVALUATOR], states[MODEL_GATE]) == ("CACHED", "CACHED")
    assert len(shared_workspace.versions()) == 2
