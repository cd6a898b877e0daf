"""The index of all runs, from a real ML Metadata store."""

from __future__ import annotations

from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from support.html_check import Page
from support.report_inputs import EPOCHS, make_history, make_verdict, perfect_matrix

from components.common.provenance import Git
from components.report.content import REPORT_CONTENT, Report, Training
from components.report.run_index import RunRow, compare, render_index
from models.definition import DATASET
from pipeline.runs.page import write_all_runs, write_newest


def content(wrong: int = 0, **hyperparameters: Any) -> dict[str, Any]:
    """Report content with 9 examples per class, of which `wrong` in class 0 are misclassified."""
    matrix = perfect_matrix()
    matrix[0][0], matrix[0][1] = 9 - wrong, wrong
    return {
        "verdict": make_verdict(matrix),
        "training": Training.model_validate(make_history(EPOCHS)),
        "hyperparameters": {"architecture": "cnn", "learning_rate": 0.001, **hyperparameters},
    }


def index(runs: Any) -> Page:
    return Page(write_all_runs(runs.root).read_text(encoding="utf-8"))


def test_newest_run_is_first_and_compared_with_the_previous_one(runs: Any) -> None:
    runs.whole_run("2026-11-22T10:00:00", **content(wrong=9, batch_size=64))
    runs.whole_run("2026-11-22T11:00:00", **content(batch_size=32, recipe="made"))
    page = index(runs)
    newest, oldest = page.text.split("released as version 17")[:2]
    assert f"{DATASET.title} runs" in page.text
    points = 900 / sum(map(sum, perfect_matrix()))
    assert f"✓ blessed 100.00% +{points:.2f} points 0.1 +0.0000 made 2 cnn 32 0.001" in newest
    assert "batch size 64 → 32" in newest
    assert "- 2 cnn 64 0.001 -" in oldest
    assert "→" not in oldest


def test_only_pages_that_exist_are_linked(runs: Any) -> None:
    runs.whole_run("2026-11-22T10:00:00")
    runs.whole_run("2026-11-22T11:00:00")
    write_newest(runs.root)
    page = index(runs)
    assert [a["href"] for a in page.having("a")] == ["20261122T110000/report.html"]
    assert len(page.having("tr")) == 3


def test_report_in_an_older_format_is_noted_and_skipped_in_comparisons(runs: Any) -> None:
    runs.whole_run("2026-11-22T10:00:00", **content(epochs=1))
    old = runs.whole_run("2026-11-22T11:00:00", **content(epochs=2))
    runs.whole_run("2026-11-22T12:00:00", **content(epochs=3))
    (runs.uri(old["report"]) / REPORT_CONTENT).write_text('{"format": 2}')
    text = index(runs).text
    assert "report unreadable expected a report: format: " in text
    assert "received 2" in text
    assert "epochs 1 → 3" in text


def test_rejected_and_interrupted_runs_show_their_outcome(runs: Any) -> None:
    runs.checked_data("2026-11-22T10:00:00", train="too few")
    runs.checked_data("2026-11-22T11:00:00")
    runs.execution("Trainer", state=mlmd.Execution.FAILED)
    text = index(runs).text
    assert "Trainer did not succeed" in text
    assert "data rejected" in text
    assert "not pushed" in text


def test_comparison_lists_all_changes(runs: Any) -> None:
    def report(**changes: Any) -> Report:
        id_ = runs.report(**content(), **changes)
        return Report.from_json((runs.uri(id_) / REPORT_CONTENT).read_text(encoding="utf-8"))

    before, now = report(), report(git=Git(commit="c" * 40, dirty=True))
    now = now.model_copy(update={"data": now.data.model_copy(update={"counts": {"train": 1234}})})
    assert compare(now, before).settings == (
        "images 0 → 1,234",
        "code unknown → cccccccc with changes",
    )
    assert compare(before, before).settings == ()


def test_precision_of_the_training_is_compared_instead_of_the_setting(runs: Any) -> None:
    def report(precision: str | None) -> Report:
        training = Training.model_validate(make_history(EPOCHS) | {"precision": precision})
        id_ = runs.report(**content(precision="auto") | {"training": training})
        return Report.from_json((runs.uri(id_) / REPORT_CONTENT).read_text(encoding="utf-8"))

    float32, bfloat16, unknown = map(report, ("float32", "bfloat16", None))
    assert compare(bfloat16, float32).settings == ("precision float32 → bfloat16",)
    assert compare(bfloat16, bfloat16).settings == ()
    assert compare(bfloat16, unknown).settings == ("precision auto → bfloat16",)


def test_external_text_is_escaped() -> None:
    hostile = "<script>alert('&\"')</script>"
    row = RunRow(hostile, hostile, hostile, hostile, None, hostile)
    page = Page(render_index(hostile, [row]))
    assert not page.having("script")
    assert page.text.count(hostile) == 6
