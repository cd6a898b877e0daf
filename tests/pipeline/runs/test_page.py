"""The facts on a run's page that come from a real ML Metadata store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from support.html_check import Page

from components.model_gate.rules import VERDICT_FILE
from components.report.content import REPORT_CONTENT, ReportError
from models.features import NUM_CLASSES
from pipeline.runs import metadata
from pipeline.runs.page import read_facts, stage_times, write_all_runs, write_newest

TEST_EXAMPLES = 9 * NUM_CLASSES
NAME = "2026-11-22T17:18:41.123456"


def facts(runs: Any) -> Any:
    return read_facts(runs.store, next(metadata.read_runs(runs.store)))


def test_path_of_the_page_contains_the_start_time_of_the_run(runs: Any) -> None:
    runs.whole_run(NAME)
    path = write_newest(runs.root)
    assert path == runs.root / "reports" / "20261122T171841" / "report.html"
    text = Page(path.read_text(encoding="utf-8")).text
    assert "released as version 17" in text
    assert "data made up" in text
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    assert '<a class="index" href="../index.html">' in path.read_text(encoding="utf-8")
    assert {file.name for file in path.parents[1].iterdir()} == {path.parent.name, "index.html"}


def test_page_can_be_written_elsewhere_and_again(runs: Any, tmp_path: Path) -> None:
    runs.whole_run(NAME)
    path = tmp_path / "new" / "page.html"
    assert write_newest(runs.root, path) == path
    first = path.read_text(encoding="utf-8")
    assert "index.html" not in first
    write_newest(runs.root, path)
    assert path.read_text(encoding="utf-8") == first


def test_newest_run_with_a_report_is_rendered(runs: Any) -> None:
    runs.whole_run("2026-11-22T10:00:00")
    runs.whole_run("2026-11-22T11:00:00")
    runs.start("2026-11-22T12:00:00")
    runs.execution("ImageExampleGen", state=mlmd.Execution.FAILED)
    assert write_newest(runs.root).parent.name == "20261122T110000"


def test_run_with_rejected_data_has_a_page_with_the_anomalies(runs: Any) -> None:
    runs.whole_run("2026-11-22T10:00:00")
    runs.checked_data("2026-11-22T11:00:00", test="class 3 is absent")
    path = write_newest(runs.root)
    assert path.parent.name == "20261122T110000"
    text = Page(path.read_text(encoding="utf-8")).text
    assert "✗ data rejected" in text
    assert "test: label: class 3 is absent" in text
    assert "source made up images 1,234 train" in text
    assert "DataGate failed" in text


def test_run_that_ended_after_good_data_has_no_page(runs: Any) -> None:
    runs.whole_run("2026-11-22T10:00:00")
    runs.checked_data("2026-11-22T11:00:00")
    runs.execution("Trainer", state=mlmd.Execution.FAILED)
    assert write_newest(runs.root).parent.name == "20261122T100000"


def test_failed_report_stage_has_no_page(runs: Any) -> None:
    runs.start(NAME)
    runs.execution("RunReport", state=mlmd.Execution.FAILED)
    with pytest.raises(
        ReportError, match=r"^no run with a report found in .*: start one with `make run`$"
    ):
        write_newest(runs.root)


def test_run_that_pushed_nothing_has_the_lineage_of_its_verdict(
    runs: Any,
) -> None:
    ids = runs.whole_run(NAME, pushes=False)
    found = facts(runs)
    assert found.release == "not pushed"
    assert found.history == ()
    assert found.lineage.rows[0].title == f"model blessing {ids['blessing']}"


def test_unchanged_release_is_described_as_already_released(runs: Any) -> None:
    runs.whole_run(NAME)
    pushed = runs.artifact("PushedModel", pushed_version="17", up_to_date=1)
    runs.execution("Pusher", {}, {"pushed_model": pushed})
    assert facts(runs).release == "already released as version 17"


def test_stage_times_are_in_the_order_of_the_stages(runs: Any) -> None:
    runs.whole_run(NAME)
    names = [stage.name for stage in facts(runs).stages]
    assert names == ["ImageExampleGen", "Trainer", "ModelGate", "RunReport", "Pusher"]
    assert {stage.state for stage in facts(runs).stages} == {"complete"}


def test_total_time_is_from_the_first_stage_to_the_last(runs: Any) -> None:
    runs.whole_run(NAME)
    first, *_, last = runs.store.get_executions()
    ended = last.last_update_time_since_epoch
    expected = (ended - first.create_time_since_epoch) / 1000
    assert facts(runs).seconds == pytest.approx(expected)


def test_times_have_their_zone(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.whole_run(NAME)
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        found = facts(runs)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found.started.endswith(" IST")
    assert found.history[0].when.endswith(" IST")
    assert found.lineage.rows[1].title.endswith(" IST")


def test_stage_that_did_not_run_has_no_bar() -> None:
    stages = {
        "Trainer": metadata.Stage("Trainer", 1, "CACHED", 4.0),
        "Evaluator": metadata.Stage("Evaluator", 2, "COMPLETE", 1.0),
        "Pusher": metadata.Stage("Pusher", 3, "FAILED", 2.0),
        "Other": metadata.Stage("Other", 4, "CANCELED", 3.0),
    }
    run = metadata.Run(NAME, datetime.now().astimezone(), stages)
    assert [stage.share for stage in stage_times(run)] == [0, 0.5, 1, 0]


def test_history_has_the_newest_blessed_models_in_ascending_order(runs: Any) -> None:
    for number in range(22):
        last = runs.whole_run(f"run {number}", wrong=number % 3)
    history = facts(runs).history
    assert len(history) == 20
    assert [model.id for model in history] == sorted(model.id for model in history)
    assert history[-1].id == last["model"]
    assert [model.current for model in history] == [False] * 19 + [True]
    assert [model.accuracy for model in history[-3:]] == pytest.approx(
        [1 - n % 3 / TEST_EXAMPLES for n in (19, 20, 21)]
    )


def test_model_that_was_blessed_again_is_listed_once_with_the_newest_accuracy(runs: Any) -> None:
    ids = runs.whole_run(NAME, wrong=1)
    runs.execution("ModelGate", {}, {"blessing": runs.blessing(ids["model"], wrong=2)})
    (model,) = facts(runs).history
    assert model.accuracy == pytest.approx(1 - 2 / TEST_EXAMPLES)


def test_models_without_blessing_or_verdict_are_left_out(runs: Any) -> None:
    lost = runs.whole_run("first")
    (runs.uri(lost["blessing"]) / VERDICT_FILE).unlink()
    foreign = runs.whole_run("second")
    (runs.uri(foreign["blessing"]) / VERDICT_FILE).write_text("{}")
    runs.whole_run("third", pushes=False)
    kept = runs.whole_run("fourth")
    assert [model.id for model in facts(runs).history] == [kept["model"]]


def test_directory_without_runs_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"^no runs found in .*: start one with `make run`, or "):
        write_newest(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), r"^the report of run 2026.*No such file"),
        (lambda path: path.write_text("[]"), r"^expected a report: JSON: "),
        (
            lambda path: path.write_text('{"format": 1}'),
            r"^expected a report: format: .*, received 1; run the pipeline again",
        ),
    ],
)
def test_missing_or_invalid_report_is_reported_in_one_line(
    runs: Any, spoil: Any, message: str
) -> None:
    ids = runs.whole_run(NAME)
    spoil(runs.uri(ids["report"]) / REPORT_CONTENT)
    with pytest.raises(ReportError, match=message) as raised:
        write_newest(runs.root)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("write", [write_newest, write_all_runs])
def test_unreadable_ml_metadata_is_one_line(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    (tmp_path / "metadata.sqlite").write_text("not a database " * 100)
    with pytest.raises(ReportError, match=r"^.*metadata\.sqlite can't be read: .*$") as raised:
        write(tmp_path)
    assert "\n" not in str(raised.value)
