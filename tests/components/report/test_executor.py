"""The complete component, with a model that misclassifies four of forty examples."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.html_check import Page
from support.report_inputs import AUGMENTATION, EPOCHS, Inputs
from support.tfx_executors import run_executor
from tfx.types import Channel, standard_artifacts

from components.common.provenance import Data
from components.model_gate.rules import reject
from components.report.artifact import HtmlReport
from components.report.component import RunReport
from components.report.content import Report
from components.report.executor import Executor
from models.definition import DATASET
from models.features import NUM_CLASSES


def make(inputs: Inputs, name: str = "report") -> tuple[Report, Page, Path]:
    """Runs the component and returns the report, the page and their directory."""
    artifact = HtmlReport()
    run_executor(
        Executor,
        inputs.directory / name,
        inputs.by_role(),
        {"report": artifact},
        {"hyperparameters": json.dumps({"epochs": 2, "learning_rate": 0.001, **AUGMENTATION})},
    )
    directory = Path(artifact.uri)
    html = (directory / "report.html").read_text(encoding="utf-8")
    report = Report.from_json((directory / "report.json").read_text(encoding="utf-8"))
    return report, Page(html), directory


def digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }


def test_predictions_are_those_that_the_gate_counted(inputs: Inputs) -> None:
    report, page, _ = make(inputs)
    assert report.predictions
    assert report.verdict
    assert (report.predictions.examples, report.predictions.correct) == (40, 36)
    assert not report.warnings
    assert not report.problems
    assert "✓ blessed" in page.text
    assert "36 of 40 were classified correctly" in page.text


def test_fewer_mistakes_than_fit_are_all_shown(inputs: Inputs) -> None:
    report, page, directory = make(inputs)
    assert report.predictions
    mistakes = report.predictions.mistakes
    assert [mistake.index for mistake in mistakes] == [36, 37, 38, 39]
    for mistake in mistakes:
        label = mistake.index % NUM_CLASSES
        assert mistake.label == label
        assert mistake.predicted == (label + 1) % NUM_CLASSES
        assert mistake.second == (label + 2) % NUM_CLASSES
        assert mistake.confidence == pytest.approx(0.8 + 0.1 / NUM_CLASSES)
    assert [sample.index for sample in report.predictions.samples] == [0, 1, 2, 3, 4]
    assert "wrong predictions with the highest confidence: 4 of 4" in page.text
    assert (directory / "mistake-04.png").is_file()
    assert not (directory / "mistake-05.png").exists()


def test_page_has_all_charts_and_no_files_for_them(inputs: Inputs) -> None:
    report, page, directory = make(inputs)
    charts = [svg["aria-label"] or "" for svg in page.having("svg")]
    assert [chart.split(" ")[0] for chart in charts] == [
        "Accuracy",
        "Loss",
        "Learning",
        "Reliability",
    ]
    assert "Confusion matrix Rows: actual" in page.text
    assert "Images by class and split" in page.text
    assert report.class_pictures.keys() == set(range(min(NUM_CLASSES, 40)))
    kinds = {file.name.split("-")[0] for file in directory.iterdir()}
    assert kinds == {"class", "mistake", "sample", "report.html", "report.json"}


def test_any_metric_and_schedule_has_a_column_and_a_curve(inputs: Inputs) -> None:
    more = {"top_5/accuracy": 0.9, "val_top_5/accuracy": 0.8, "val_$f1$": None}
    inputs.write_history([{**epoch, **more} for epoch in EPOCHS])
    report, page, _ = make(inputs)
    assert not report.problems
    charts = [(svg["aria-label"] or "").split(" by epoch")[0] for svg in page.having("svg")]
    assert charts[:-1] == ["Accuracy", "Loss", "Learning rate", "Top 5/accuracy", "$f1$"]
    assert "seconds 1 (exported)" in page.text
    assert "learning rate top 5/accuracy validation top 5/accuracy validation $f1$" in page.text
    assert "90.00% 80.00% -" in page.text


def test_history_without_learning_rate_is_shown(inputs: Inputs) -> None:
    inputs.write_history([{"epoch": 1, "loss": 0.5, "seconds": 2}])
    report, page, _ = make(inputs)
    assert not report.problems
    chart = page.having("svg")[0]
    assert chart["aria-label"] == "Loss by epoch. In the last epoch: training 0.5."
    assert "epoch loss seconds 1 (exported) 0.5 2" in page.text


def test_same_inputs_give_the_same_files(inputs: Inputs) -> None:
    _, _, first = make(inputs, "first")
    _, _, second = make(inputs, "second")
    assert digests(first) == digests(second)


def test_color_images_of_another_number_of_classes(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("container ship", "red & <b>green</b> parrot", "$5 bill", "x")
    data = Data(
        source="made up",
        fingerprint=None,
        counts={"train": 40, "test": 40},
        title="Things",
        noun="thing",
        image_shape=(6, 8, 3),
        class_names=names,
    )
    monkeypatch.setattr("components.report.executor.data_record", lambda examples: data)
    toy.classes, toy.image_bytes = 4, 6 * 8 * 3
    report, page, directory = make(Inputs(toy, toy.cases(right=36, wrong=4), names))
    assert not report.problems
    assert report.data == data
    mistake = Image.open(directory / "mistake-02.png")
    assert (mistake.mode, mistake.size) == ("RGB", (8, 6))
    # The image of example 37: its first two bytes are the predictions of the two models.
    assert mistake.getpixel((0, 0)) == (2, 1, 0)
    assert (np.asarray(mistake).reshape(-1, 3)[1:] == 0).all()
    with Image.open(directory / "class-3.png") as row:
        assert row.size == (80, 6)
    assert "Things run report" in page.text
    assert "red & <b>green</b> parrot" in page.text
    assert not page.having("b")


def test_rejected_model_is_shown_with_the_reason(inputs: Inputs, toy: Any) -> None:
    worse = Inputs(type(toy)(toy.directory / "worse"), toy.cases(right=20, wrong=20))
    report, page, _ = make(worse)
    assert report.verdict
    assert not report.verdict.blessed
    assert "✗ not blessed" in page.text
    assert "accuracy 50% is below the 85% gate (20 of 40)" in page.text


def test_model_whose_predictions_have_changed_since_the_gate_is_warned_about(
    inputs: Inputs, toy: Any
) -> None:
    inputs.write_verdict(toy.cases(right=40))
    report, page, _ = make(inputs)
    (warning,) = report.warnings
    assert "36 of 40 are correct, but the gate counted 40 of 40" in warning
    assert warning in page.text


def test_metrics_are_those_of_the_verdict(inputs: Inputs, toy: Any) -> None:
    inputs.write_verdict(toy.cases(right=30, wrong=10))
    report, page, _ = make(inputs)
    assert "30 of 40 were classified correctly" in page.text
    assert report.verdict
    assert report.verdict.metrics["correct"] == 30


def test_gate_without_evidence_has_no_confusion_matrix(inputs: Inputs) -> None:
    inputs.verdict.write_text(reject("the metrics can't be read").to_json())
    report, page, _ = make(inputs)
    assert not report.problems
    assert not report.warnings
    assert "The gate had no usable evaluation" in page.text
    assert "the metrics can't be read." in page.text
    assert "Confusion matrix" not in page.text


def test_invalid_predictions_are_counted(toy: Any) -> None:
    cases = [*toy.cases(right=30), toy.Case(0, toy.NAN), toy.Case(1, toy.NAN)]
    report, page, _ = make(Inputs(toy, cases))
    assert not report.warnings
    assert "invalid predictions: 2" in page.text
    assert report.predictions
    assert [mistake.predicted for mistake in report.predictions.mistakes] == [None, None]


@pytest.mark.parametrize(
    ("section", "spoil"),
    [
        ("predictions", lambda inputs: shutil.rmtree(inputs.model.uri)),
        ("training", lambda inputs: inputs.history.unlink()),
        ("training", lambda inputs: inputs.history.write_text('{"epochs": []}')),
        ("verdict", lambda inputs: inputs.verdict.write_text("{}")),
        ("classes", lambda inputs: shutil.rmtree(Path(inputs.examples.uri) / "Split-train")),
        ("augmented", lambda inputs: Path(inputs.model_run.uri, "augmented.png").write_text("x")),
        ("data", lambda inputs: inputs.examples.set_string_custom_property("label_counts", "x")),
    ],
)
def test_section_that_fails_is_marked_and_the_rest_is_shown(
    inputs: Inputs, section: str, spoil: Any
) -> None:
    spoil(inputs)
    report, page, _ = make(inputs)
    assert set(report.problems) == {section}
    assert "This section failed" in page.text
    for heading in ("Gate", "Training", "Test images", "Data", "Provenance"):
        assert heading in page.text


def test_model_card_has_the_facts_of_definition_training_and_verdict(inputs: Inputs) -> None:
    _, page, _ = make(inputs)
    assert f"Classifies an image of one {DATASET.noun}" in page.text
    assert f"into one of {NUM_CLASSES} classes." in page.text
    assert f"Expects {DATASET.picture_form}." in page.text
    # Computed by hand from Wilson's formula for 36 of 40.
    assert "90.00% on 40 test images; 95% confidence interval 76.95% to 96.04%" in page.text
    assert "12,345 parameters" in page.text
    assert "2 epochs in 3.5 s on Abacus, 2 threads, no GPU" in page.text
    assert "Flatten 4 0 Dense 10 12,345" in page.text


def test_model_card_names_recipe_and_precision(inputs: Inputs) -> None:
    _, page, _ = make(inputs)
    assert "recipe augmented" in page.text
    assert "averaged over the steps before" in page.text
    assert "precision bfloat16 in training, float32 in the exported model" in page.text


def test_history_without_a_precision_is_shown(inputs: Inputs) -> None:
    history = json.loads(inputs.history.read_text())
    inputs.history.write_text(json.dumps({k: v for k, v in history.items() if k != "precision"}))
    report, page, _ = make(inputs)
    assert not report.problems
    assert "in the exported model" not in page.text


def test_augmented_images_are_shown_with_their_settings(inputs: Inputs) -> None:
    inputs.write_augmented_sheet()
    report, page, directory = make(inputs)
    assert not report.problems
    assert report.augmented_picture == "augmented.png"
    height, width, _ = DATASET.image_shape
    with Image.open(directory / "augmented.png") as picture:
        assert picture.size == (8 * width + width // 4, 4 * height)
    limits = "rotation up to ±12°, scaling up to ±10%, shift up to ±9% of height and width"
    assert f"as training sees them ({limits})." in page.text
    assert sum("augmented variants" in (image["alt"] or "") for image in page.having("img")) == 1


def test_training_that_did_not_augment_has_no_pictures_of_it(inputs: Inputs) -> None:
    report, page, directory = make(inputs)
    assert not report.problems
    assert report.augmented_picture is None
    assert "Augmented" not in page.text
    assert not (directory / "augmented.png").exists()


def test_missing_input_is_an_error(inputs: Inputs) -> None:
    given = {role: [artifact] for role, artifact in inputs.by_role().items()}
    with pytest.raises(ValueError, match="expected list length of one"):
        Executor().Do(given | {"model": []}, {"report": [HtmlReport()]}, {"hyperparameters": "{}"})


def test_baseline_is_the_one_in_the_blessing(inputs: Inputs) -> None:
    inputs.blessing.set_string_custom_property("baseline_model", "/root/Trainer/model/3")
    inputs.blessing.set_int_custom_property("baseline_model_id", 8)
    report, page, _ = make(inputs)
    assert report.baseline
    assert (report.baseline.id, report.baseline.uri) == ("8", "/root/Trainer/model/3")
    assert "model 8" in page.text


def test_page_is_small(inputs: Inputs) -> None:
    _, _, directory = make(inputs)
    assert (directory / "report.html").stat().st_size < 2_000_000


def test_component_outputs_a_report() -> None:
    types = {
        "examples": standard_artifacts.Examples,
        "model": standard_artifacts.Model,
        "model_run": standard_artifacts.ModelRun,
        "blessing": standard_artifacts.ModelBlessing,
    }
    report = RunReport(**{role: Channel(type=type_) for role, type_ in types.items()})
    assert report.outputs["report"].type is HtmlReport
    assert report.id == "RunReport"
