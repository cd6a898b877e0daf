"""From data to a pushed model, and what later runs on the same root do.

The tests of this module run in their order: each goes on from the state that the one before left.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from support.html_check import Page
from support.pipeline_runs import Place

from components.report.page import short_uri
from pipeline.exit_status import ExitStatus

STAGES = [
    "ImageExampleGen",
    "ImportSchemaGen",
    "StatisticsGen",
    "ExampleValidator",
    "DataGate",
    "Transform",
    "Trainer",
    "Baseline",
    "Evaluator",
    "ModelGate",
    "RunReport",
    "Pusher",
]


def report_of(place: Place) -> Path:
    """The page of the newest run."""
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
    assert "1,050 train, 150 validation, 300 test images" in printed
    assert "a first model has nothing to be compared with" in printed
    assert "Running launcher" not in printed, "TFX's log belongs in its file"
    assert f"report      {report_of(shared_place)}" in printed


def test_log_file_has_what_the_console_spares(shared_place: Place) -> None:
    (log,) = (shared_place.root / "logs").iterdir()
    assert "Running launcher" in log.read_text()


def test_pushed_model_answers(shared_place: Place) -> None:
    (version,) = shared_place.versions()
    served = tf.saved_model.load(str(shared_place.serving / "mnist" / version))
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.append(bytes(784))
    answer = served.signatures["serving_default"](tf.constant([example.SerializeToString()]))
    assert float(tf.reduce_sum(answer["probabilities"])) == pytest.approx(1, abs=1e-5)


def test_report_shows_the_push_and_where_it_comes_from(shared_place: Place) -> None:
    (version,) = shared_place.versions()
    page = Page(report_of(shared_place).read_text(encoding="utf-8"))
    assert "✓ blessed" in page.text
    assert f"released as version {version}" in page.text
    stages = shared_place.last_run()
    examples = stages["ImageExampleGen"].outputs["examples"][0]
    assert examples.properties["fingerprint"] in page.text
    for artifact in (stages["Pusher"].outputs["pushed_model"][0], examples):
        assert short_uri(artifact.uri) in page.text
    assert "(this run)" in page.text
    assert "could not be made" not in page.text


def test_manifest_tells_where_the_model_came_from(shared_place: Place) -> None:
    (version,) = shared_place.versions()
    manifest = json.loads((shared_place.serving / "mnist" / version / "release.json").read_text())
    examples = shared_place.last_run()["ImageExampleGen"].outputs["examples"][0]
    text = json.dumps(manifest)
    assert examples.properties["fingerprint"] in text
    assert examples.properties["source"] in text


def test_second_run_with_nothing_changed_uses_the_cache(
    shared_place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    before = shared_place.versions()
    assert shared_place.run() == ExitStatus.SUCCESS
    states = shared_place.states()
    assert states.pop("Baseline") == "COMPLETE", "a resolver is asked again each time"
    assert states.pop("Pusher") == "COMPLETE", "the Pusher looks again at what is being served"
    assert set(states.values()) == {"CACHED"}
    assert shared_place.versions() == before
    assert "up to date" in capfd.readouterr().out
    assert "already released as version" in report_of(shared_place).read_text(encoding="utf-8")


def test_vanished_release_is_pushed_again_from_the_cache(shared_place: Place) -> None:
    shutil.rmtree(shared_place.serving)
    assert shared_place.run() == ExitStatus.SUCCESS
    assert shared_place.states()["Trainer"] == "CACHED"
    assert len(shared_place.versions()) == 1


def test_blocked_model_leaves_the_served_one(
    shared_place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    before = shared_place.versions()
    assert shared_place.run(accuracy_threshold="1") == ExitStatus.MODEL_REJECTED
    states = shared_place.states()
    assert (states["Evaluator"], states["ModelGate"]) == ("CACHED", "COMPLETE")
    assert states["Pusher"] == "FAILED"
    assert shared_place.versions() == before
    printed = capfd.readouterr().out
    assert "model rejected: " in printed
    assert f"report      {report_of(shared_place)}" in printed
    text = Page(report_of(shared_place).read_text(encoding="utf-8")).text
    assert "✗ not blessed" in text
    assert "not pushed" in text


def test_report_that_can_not_be_drawn_does_not_change_the_exit_status(
    shared_place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    pages = shared_place.root / "reports"
    pages.rename(shared_place.root / "other")
    pages.write_text("in the way")
    assert shared_place.run() == ExitStatus.SUCCESS
    assert "report      WARNING: it can't be drawn: " in capfd.readouterr().out
    pages.unlink()


def test_changed_setting_reruns_its_stage_and_those_below(shared_place: Place) -> None:
    assert shared_place.run(seed=7) == ExitStatus.SUCCESS
    states = shared_place.states()
    assert {states[name] for name in STAGES[:6]} == {"CACHED"}
    assert {states[name] for name in STAGES[6:]} == {"COMPLETE"}
    assert len(shared_place.versions()) == 2


def test_later_model_is_compared_with_the_earlier_one(shared_place: Place) -> None:
    blessing = shared_place.last_run()["ModelGate"].outputs["blessing"][0]
    verdict = json.loads(Path(blessing.uri, "verdict.json").read_text())
    assert verdict["metrics"]["baseline_accuracy"] is not None


def test_rerun_of_the_later_model_is_cached_too(shared_place: Place) -> None:
    assert shared_place.run(seed=7) == ExitStatus.SUCCESS
    states = shared_place.states()
    assert (states["Evaluator"], states["ModelGate"]) == ("CACHED", "CACHED")
    assert len(shared_place.versions()) == 2
