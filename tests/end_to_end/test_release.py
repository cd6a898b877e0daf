"""From data to a pushed model, and later runs on the same pipeline root.

The tests of this module run in order: each continues from the state that the previous one left.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from support.html_check import Page
from support.pipeline_runs import TEST_PER_CLASS, TRAIN_PER_CLASS, Place

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


def report_of(place: Place) -> Path:
    """Report page of the newest run."""
    return max((place.root / "reports").glob("*/report.html"))


def test_first_run_pushes_a_model(shared_place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert shared_place.run() == ExitStatus.SUCCESS
    printed = capfd.readouterr().out

    states = shared_place.states()
    assert sorted(states) == sorted(STAGES)
    assert set(states.values()) == {"COMPLETE"}
    assert len(shared_place.versions()) == 1
    for stage in STAGES:
        assert stage in printed
    official, test = TRAIN_PER_CLASS * NUM_CLASSES, TEST_PER_CLASS * NUM_CLASSES
    validation = round(official * DATASET.validation_share)
    train = official - validation
    assert f"{train:,} train, {validation:,} validation, {test:,} test images" in printed
    assert f"{BASELINE:<18}done" in printed
    assert "none yet" in printed
    assert "Running launcher" not in printed, "TFX's log belongs in its file"
    assert f"report       {report_of(shared_place)}" in printed


def test_log_file_has_the_output_of_tfx(shared_place: Place) -> None:
    (log,) = (shared_place.root / "logs").iterdir()
    assert "Running launcher" in log.read_text()


def test_pushed_model_predicts(shared_place: Place) -> None:
    (version,) = shared_place.versions()
    served = tf.saved_model.load(str(shared_place.release(version)))
    example = tf.train.Example()
    example.features.feature[IMAGE].bytes_list.value.append(bytes(IMAGE_BYTES))
    outputs = served.signatures["serving_default"](tf.constant([example.SerializeToString()]))
    assert float(tf.reduce_sum(outputs[PROBABILITIES])) == pytest.approx(1, abs=1e-5)


def test_report_shows_the_release_and_its_lineage(shared_place: Place) -> None:
    (version,) = shared_place.versions()
    page = Page(report_of(shared_place).read_text(encoding="utf-8"))
    assert "✓ blessed" in page.text
    assert f"released as version {version}" in page.text
    stages = shared_place.last_run()
    examples = stages[EXAMPLE_GEN].outputs["examples"][0]
    assert examples.properties["fingerprint"] in page.text
    for artifact in (stages[PUSHER].outputs["pushed_model"][0], examples):
        assert short_uri(artifact.uri) in page.text
    assert "(this run)" in page.text


def test_manifest_has_the_provenance(shared_place: Place) -> None:
    (version,) = shared_place.versions()
    text = (shared_place.release(version) / "release.json").read_text(encoding="utf-8")
    examples = shared_place.last_run()[EXAMPLE_GEN].outputs["examples"][0]
    assert examples.properties["fingerprint"] in text
    assert examples.properties["source"] in text


def test_second_run_with_nothing_changed_uses_the_cache(
    shared_place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    before = shared_place.versions()
    assert shared_place.run() == ExitStatus.SUCCESS
    states = shared_place.states()
    assert states.pop(BASELINE) == "COMPLETE", "resolvers are not cached"
    assert states.pop(PUSHER) == "COMPLETE", "the Pusher checks the served releases in each run"
    assert set(states.values()) == {"CACHED"}
    assert shared_place.versions() == before
    assert "up to date" in capfd.readouterr().out
    assert "already released as version" in report_of(shared_place).read_text(encoding="utf-8")


def test_deleted_release_is_pushed_again_from_the_cache(shared_place: Place) -> None:
    shutil.rmtree(shared_place.serving)
    assert shared_place.run() == ExitStatus.SUCCESS
    assert shared_place.states()[TRAINER] == "CACHED"
    assert len(shared_place.versions()) == 1


def test_blocked_model_leaves_the_served_one(
    shared_place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    before = shared_place.versions()
    assert shared_place.run(max_loss="0.0000001") == ExitStatus.MODEL_REJECTED
    states = shared_place.states()
    assert (states[EVALUATOR], states[MODEL_GATE]) == ("CACHED", "COMPLETE")
    assert states[PUSHER] == "FAILED"
    assert shared_place.versions() == before
    printed = capfd.readouterr().out
    assert "Model rejected: " in printed
    assert f"report       {report_of(shared_place)}" in printed
    text = Page(report_of(shared_place).read_text(encoding="utf-8")).text
    assert "✗ not blessed" in text
    assert "not pushed" in text


def test_page_that_can_not_be_drawn_does_not_change_the_exit_status(
    shared_place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    pages = shared_place.root / "reports"
    pages.rename(shared_place.root / "other")
    pages.write_text("in the way")
    assert shared_place.run() == ExitStatus.SUCCESS
    assert "report       WARNING: could not draw the page: " in capfd.readouterr().out
    pages.unlink()


def test_changed_setting_reruns_its_stage_and_the_following(shared_place: Place) -> None:
    assert shared_place.run(seed=7) == ExitStatus.SUCCESS
    states = shared_place.states()
    first = STAGES.index(TRAINER)
    assert {states[name] for name in STAGES[:first]} == {"CACHED"}
    assert {states[name] for name in STAGES[first:]} == {"COMPLETE"}
    assert len(shared_place.versions()) == 2


def test_later_model_is_compared_with_the_earlier_one(shared_place: Place) -> None:
    blessing = shared_place.last_run()[MODEL_GATE].outputs["blessing"][0]
    verdict = json.loads(Path(blessing.uri, "verdict.json").read_text())
    assert verdict["metrics"]["baseline_accuracy"] is not None


def test_rerun_of_the_later_model_is_cached_too(shared_place: Place) -> None:
    assert shared_place.run(seed=7) == ExitStatus.SUCCESS
    states = shared_place.states()
    assert (states[EVALUATOR], states[MODEL_GATE]) == ("CACHED", "CACHED")
    assert len(shared_place.versions()) == 2
