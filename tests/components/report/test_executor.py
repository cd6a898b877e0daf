"""The whole stage, on a model that is wrong on four of forty examples."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from sklearn.metrics import precision_recall_fscore_support
from support.html_check import Page
from support.report_inputs import Inputs
from support.tfx_executors import run_executor
from tfx.types import Channel, standard_artifacts

from components.report.artifact import HtmlReport
from components.report.component import RunReport
from components.report.content import Report
from components.report.executor import Executor


def draw(inputs: Inputs, name: str = "report") -> tuple[Report, Page, Path]:
    """Runs the stage; returns what it wrote, and where."""
    artifact = HtmlReport()
    run_executor(
        Executor,
        inputs.directory / name,
        inputs.by_role(),
        {"report": artifact},
        {"hyperparameters": json.dumps({"epochs": 2, "learning_rate": 0.001})},
    )
    directory = Path(artifact.uri)
    html = (directory / "report.html").read_text(encoding="utf-8")
    report = Report.from_json((directory / "report.json").read_text(encoding="utf-8"))
    return report, Page(html), directory


def digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }


def test_answers_are_those_that_the_gate_counted(inputs: Inputs) -> None:
    report, page, _ = draw(inputs)
    assert report.answers
    assert report.verdict
    assert report.answers.confusion_matrix == report.verdict.confusion_matrix
    assert (report.answers.examples, report.answers.wrong) == (40, 4)
    assert report.answers.per_class == report.verdict.per_class
    assert not report.warnings
    assert not report.problems
    assert "✓ blessed" in page.text
    assert "36 of 40 right" in page.text


def test_metrics_of_each_digit_are_scikit_learns(inputs: Inputs, toy: Any) -> None:
    report, _, _ = draw(inputs)
    asked = toy.questions(right=36, wrong=4)
    precision, recall, f1, support = precision_recall_fscore_support(
        [question.label for question in asked], [question.answer for question in asked]
    )
    assert report.answers
    for digit in report.answers.per_class:
        of_digit = (values[digit.digit] for values in (precision, recall, f1, support))
        assert (digit.precision, digit.recall, digit.f1, digit.examples) == tuple(of_digit)


def test_fewer_mistakes_than_fit_are_all_shown(inputs: Inputs) -> None:
    report, page, directory = draw(inputs)
    assert report.answers
    assert [answer.index for answer in report.answers.mistakes] == [36, 37, 38, 39]
    assert [(a.label, a.predicted, a.second) for a in report.answers.mistakes] == [
        (6, 7, 8),
        (7, 8, 9),
        (8, 9, 0),
        (9, 0, 1),
    ]
    assert report.answers.mistakes[0].confidence == pytest.approx(0.81)
    assert [answer.index for answer in report.answers.samples] == [0, 1, 2, 3, 4]
    assert "All 4 wrong answers" in page.text
    assert (directory / "mistake-04.png").is_file()
    assert not (directory / "mistake-05.png").exists()


def test_page_has_all_figures_in_both_colour_schemes(inputs: Inputs) -> None:
    report, page, directory = draw(inputs)
    assert set(report.figures) == {
        "accuracy",
        "loss",
        "learning_rate",
        "distribution",
        "confusion",
        "reliability",
    }
    for figure in report.figures.values():
        assert (directory / figure.light).is_file()
        assert (directory / figure.dark).is_file()
    assert len(page.having("picture")) == len(report.figures)
    assert report.class_pictures.keys() == set(range(10))


def test_same_inputs_give_the_same_files(inputs: Inputs) -> None:
    _, _, first = draw(inputs, "first")
    _, _, second = draw(inputs, "second")
    assert digests(first) == digests(second)


def test_drawing_leaves_matplotlib_as_it_was(inputs: Inputs) -> None:
    settings = ("font.family", "font.size", "text.color")
    with mpl.rc_context({name: mpl.rcParamsDefault[name] for name in settings}):
        before = dict(mpl.rcParams)
        draw(inputs)
        assert dict(mpl.rcParams) == before


def test_rejected_model_is_shown_with_the_reason(inputs: Inputs, toy: Any) -> None:
    worse = Inputs(type(toy)(toy.directory / "worse"), toy.questions(right=20, wrong=20))
    report, page, _ = draw(worse)
    assert report.verdict
    assert not report.verdict.blessed
    assert "✗ not blessed" in page.text
    assert "accuracy must be at least 0.85, but 20 of 40 were right" in page.text


def test_verdict_on_other_answers_is_contradicted_visibly(inputs: Inputs, toy: Any) -> None:
    inputs.judge(toy.questions(right=40))
    report, page, _ = draw(inputs)
    (warning,) = report.warnings
    assert "it counted 40 right of 40, and this report 36 of 40" in warning
    assert warning in page.text


def test_answers_that_are_no_digits_are_counted_as_such(toy: Any) -> None:
    asked = [*toy.questions(right=30), toy.Question(3, toy.NAN), toy.Question(4, toy.NAN)]
    report, page, _ = draw(Inputs(toy, asked))
    assert report.answers
    assert report.answers.unanswered == (0, 0, 0, 1, 1, 0, 0, 0, 0, 0)
    assert not report.warnings
    assert "2 had no answer" in page.text
    assert [answer.predicted for answer in report.answers.mistakes] == [None, None]


@pytest.mark.parametrize(
    ("section", "spoil"),
    [
        ("answers", lambda inputs: shutil.rmtree(inputs.model.uri)),
        ("training", lambda inputs: inputs.history.unlink()),
        ("training", lambda inputs: inputs.history.write_text('{"epochs": []}')),
        ("verdict", lambda inputs: inputs.verdict.write_text("{}")),
        ("classes", lambda inputs: shutil.rmtree(Path(inputs.examples.uri) / "Split-train")),
        ("data", lambda inputs: inputs.examples.set_string_custom_property("label_counts", "x")),
    ],
)
def test_what_can_not_be_made_is_said_and_the_rest_is_shown(
    inputs: Inputs, section: str, spoil: Any
) -> None:
    spoil(inputs)
    report, page, _ = draw(inputs)
    assert set(report.problems) == {section}
    assert "This part could not be made" in page.text
    for heading in ("Gates", "Training", "Test images", "Data", "How it was made"):
        assert heading in page.text


def test_plot_that_fails_is_said_and_the_others_are_drawn(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seaborn.heatmap", lambda *_, **__: 1 / 0)
    report, page, _ = draw(inputs)
    assert report.problems == {"confusion": "ZeroDivisionError: division by zero"}
    assert "reliability" in report.figures
    assert "ZeroDivisionError" in page.text


def test_missing_input_is_an_error(inputs: Inputs) -> None:
    given = {role: [artifact] for role, artifact in inputs.by_role().items()}
    with pytest.raises(ValueError, match="expected list length of one"):
        Executor().Do(given | {"model": []}, {"report": [HtmlReport()]}, {"hyperparameters": "{}"})


def test_baseline_is_named_as_the_blessing_names_it(inputs: Inputs) -> None:
    inputs.blessing.set_string_custom_property("baseline_model", "/root/Trainer/model/3")
    inputs.blessing.set_int_custom_property("baseline_model_id", 8)
    report, page, _ = draw(inputs)
    assert report.baseline
    assert (report.baseline.id, report.baseline.uri) == ("8", "/root/Trainer/model/3")
    assert "model 8" in page.text


def test_page_is_small(inputs: Inputs) -> None:
    _, _, directory = draw(inputs)
    assert (directory / "report.html").stat().st_size < 2_000_000


def test_component_gives_a_report() -> None:
    types = {
        "examples": standard_artifacts.Examples,
        "model": standard_artifacts.Model,
        "model_run": standard_artifacts.ModelRun,
        "blessing": standard_artifacts.ModelBlessing,
    }
    report = RunReport(**{role: Channel(type=type_) for role, type_ in types.items()})
    assert report.outputs["report"].type is HtmlReport
    assert report.id == "RunReport"
