"""The page, rendered from synthetic content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.html_check import Page
from support.report_inputs import (
    AUGMENTATION,
    EPOCHS,
    make_history,
    make_mistake,
    make_verdict,
    perfect_matrix,
)

from components.common.provenance import ArtifactRecord, Data, Git
from components.report.content import (
    Calibration,
    Predictions,
    Report,
    Training,
)
from components.report.facts import (
    BlessedModel,
    CheckedFeature,
    ContactSheet,
    DataChecks,
    Lineage,
    LineageEdge,
    LineageRow,
    RunFacts,
    StageTime,
)
from components.report.page import (
    common_mistakes,
    describe_augmentation,
    lane_path,
    render,
    render_rejection,
    shade,
)
from components.report.rendering import data_uri, duration, short_uri
from models.definition import DATASET
from models.features import CLASS_NAMES
from models.hyperparameters import Hyperparameters

HOSTILE = "<script>alert('&\"')</script>"


def make_report(**changes: Any) -> Report:
    content: dict[str, Any] = {
        "model": ArtifactRecord(id=5, type="Model", uri="/root/Trainer/model/7"),
        "data": Data(source="tfds", fingerprint="f" * 64, counts={"train": 1234, "test": 90}),
        "verdict": make_verdict(perfect_matrix()),
        "training": Training.model_validate(make_history(EPOCHS, best_epoch=2)),
        "hyperparameters": {"batch_size": 64},
        "git": Git(commit="c" * 40, dirty=True),
        "packages": {"tfx": "1.2.3"},
    }
    return Report(**(content | changes))


def make_facts(**changes: Any) -> RunFacts:
    rows = (
        LineageRow("pushed model 3", "…/a/b/3", "artifact", 0),
        LineageRow("Pusher, today", "from model 1", "stage", 0),
        LineageRow("model 1", "…/a/b/1", "artifact", 0),
    )
    edges = (LineageEdge(0, 1, 0, 0), LineageEdge(1, 2, 0, 0))
    content: dict[str, Any] = {
        "started": "2026-11-22 17:18 UTC",
        "seconds": 725.0,
        "release": "released as version 17",
        "stages": (
            StageTime("Trainer", "complete", 705.5, 1.0),
            StageTime("Evaluator", "cached", 0.1, 0.01),
        ),
        "history": (
            BlessedModel(3, "2026-11-21 08:00", 0.991, current=False),
            BlessedModel(9, "2026-11-22 17:31", 0.9938, current=True),
        ),
        "lineage": Lineage(rows, edges),
        "data_checks": DataChecks(
            (CheckedFeature("contrast", "FLOAT", "0 to 1", "0.1 to 0.9"),), ()
        ),
        "index": "../index.html",
    }
    return RunFacts(**(content | changes))


def rendered(tmp_path: Path, report: Report, run: RunFacts | None = None) -> tuple[str, Page]:
    html = render(report, tmp_path, run)
    return html, Page(html)


def test_page_is_self_contained(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    html, page = rendered(tmp_path, make_report(class_pictures={1: "x.png"}), make_facts())
    loaded = [reference for reference in page.references() if not reference.startswith("#")]
    assert sorted(reference.split(",")[0] for reference in loaded) == [
        "../index.html",
        "data:image/png;base64",
    ]
    assert not page.having("script")
    assert "default-src 'none'" in html


def test_every_picture_is_described(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    _, page = rendered(tmp_path, make_report(class_pictures={1: "x.png"}), make_facts())
    (image,) = page.having("img")
    assert image["alt"] == f"Training images, {DATASET.noun} {CLASS_NAMES[1]}"
    for svg in page.having("svg"):
        assert svg.get("aria-hidden") == "true" or svg["aria-label"]


@pytest.mark.parametrize("run", [None, make_facts()])
def test_contents_link_to_every_section(tmp_path: Path, run: RunFacts | None) -> None:
    _, page = rendered(tmp_path, make_report(), run)
    links = [a["href"] or "" for a in page.having("a")]
    inside = [link.removeprefix("#") for link in links if link.startswith("#")]
    assert inside == [section["id"] for section in page.having("section")]


def test_external_text_is_escaped(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    report = make_report(
        data=Data(
            source=HOSTILE,
            fingerprint=HOSTILE,
            counts={HOSTILE: 1},
            title=HOSTILE,
            noun=HOSTILE,
            class_names=(HOSTILE, "b"),
        ),
        verdict=make_verdict(perfect_matrix(size=2), (HOSTILE, "b")),
        class_pictures={0: "x.png"},
        model=ArtifactRecord(id=5, type=HOSTILE, uri=HOSTILE),
        hyperparameters={HOSTILE: HOSTILE},
        packages={HOSTILE: HOSTILE},
        problems={"training": HOSTILE},
        warnings=(HOSTILE,),
        label_counts={HOSTILE: {1: 2}},
    )
    rows = (LineageRow(HOSTILE, HOSTILE, "artifact", 0),)
    facts = make_facts(
        release=HOSTILE,
        stages=(StageTime(HOSTILE, HOSTILE, 1, 1),),
        lineage=Lineage(rows, ()),
        data_checks=DataChecks((CheckedFeature(*[HOSTILE] * 4),), (HOSTILE,)),
        history=(BlessedModel(1, HOSTILE, 0.5, current=True),) * 2,
    )
    html, page = rendered(tmp_path, report, facts)
    assert not page.having("script")
    assert html.count("&lt;script&gt;") >= 20
    assert HOSTILE in page.text


def test_report_of_an_older_version_can_be_read(tmp_path: Path) -> None:
    content = json.loads(make_report().to_json())
    del content["training"]["precision"], content["augmented_picture"]
    report = Report.from_json(json.dumps({**content, "format": 3}))
    assert report.training
    assert report.training.precision is None
    _, page = rendered(tmp_path, report)
    assert "✓ blessed" in page.text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ""),
        ({"rotation": 0.0, "zoom": None}, ""),
        ({"shear": 0.1}, "shear up to ±0.1 pixels per pixel of height"),
        ({"zoom": 0.125, "rotation": 7.5}, "rotation up to ±7.5°, scaling up to ±12.5%"),
    ],
)
def test_augmentation_is_described_by_its_limits(values: dict[str, Any], expected: str) -> None:
    assert describe_augmentation(values) == expected


def test_hyperparameters_that_the_page_reads_exist() -> None:
    assert AUGMENTATION.keys() <= Hyperparameters.model_fields.keys()


def test_verdict_and_checks_are_shown(tmp_path: Path) -> None:
    _, page = rendered(tmp_path, make_report())
    assert "✓ blessed" in page.text
    assert page.text.count("✓ passed") == len(make_verdict(perfect_matrix()).checks)
    assert "accuracy 100% ≥ 85% ✓ passed" in page.text


@pytest.mark.parametrize("size", [2, 40])
def test_all_classes_are_named(tmp_path: Path, size: int) -> None:
    names = tuple(f"class no. {label}" for label in range(size))
    report = make_report(
        data=Data(source=None, fingerprint=None, counts={}, noun="item", class_names=names),
        verdict=make_verdict(perfect_matrix(size=size), names),
        label_counts={"train": {size - 1: 1234}},
    )
    _, page = rendered(tmp_path, report)
    for name in names:
        assert f"{name} 100.00% 100.00% 70.09% to 100.00% 100.00% 9 9" in page.text
    assert "item train class no. 0 0 class no. 1 " in page.text
    assert f"{names[-1]} 1,234" in page.text


def test_page_rendered_before_the_push_does_not_show_its_outcome(tmp_path: Path) -> None:
    _, page = rendered(tmp_path, make_report())
    assert "does not show whether the model was pushed" in page.text
    assert "Lineage" not in page.text


def test_facts_of_the_run_are_shown(tmp_path: Path) -> None:
    _, page = rendered(tmp_path, make_report(), make_facts())
    assert "2026-11-22 17:18 UTC · released as version 17 · total time 12 min 5 s" in page.text
    assert "Trainer 11 min 46 s" in page.text
    assert "first to last stage 12 min 5 s" in page.text
    assert "found no anomalies" in page.text
    assert "contrast FLOAT 0 to 1 0.1 to 0.9" in page.text
    assert "Evaluator cached" in page.text
    assert "9 (this run) 2026-11-22 17:31 99.38% 3 2026-11-21 08:00 99.10%" in page.text
    assert "pushed model 3 …/a/b/3 Pusher, today from model 1 model 1" in page.text
    dots = [circle for circle in page.having("circle") if circle.get("class") == "dot"]
    boxes = [rect for rect in page.having("rect") if rect.get("class") == "box"]
    assert (len(dots), len(boxes)) == (2, 1)


def test_only_blessed_model_needs_no_chart(tmp_path: Path) -> None:
    facts = make_facts(history=(BlessedModel(9, "today", 0.99, current=True),))
    _, page = rendered(tmp_path, make_report(), facts)
    assert "The only model" in page.text
    assert not any("models" in (svg.get("aria-label") or "") for svg in page.having("svg"))


def test_nearly_empty_report_can_be_rendered(tmp_path: Path) -> None:
    report = Report(
        model=ArtifactRecord(id=5, type="Model", uri="m"),
        data=Data(source=None, fingerprint=None, counts={}),
    )
    facts = make_facts(history=(), lineage=None, stages=(), data_checks=None, index=None)
    _, page = rendered(tmp_path, report, facts)
    assert "no verdict" in page.text
    assert "No model has passed" in page.text
    assert "ML Metadata has no lineage" in page.text
    assert "schema, statistics or anomalies of this run can't be read" in page.text


def test_anomalies_are_listed() -> None:
    anomalies = ("train: label: class 3 is absent", "test: image: too large")
    checks = DataChecks((CheckedFeature("label", "INT", "0 to 9", ""),), anomalies)
    data = Data(source="tfds", fingerprint=None, counts={"train": 1234})
    page = Page(render_rejection(data, make_facts(data_checks=checks)))
    for text in ("✗ data rejected", *anomalies, "1,234 train", "Nothing was trained"):
        assert text in page.text
    assert "found no anomalies" not in page.text


def test_contact_sheets_are_embedded_below_the_anomalies(tmp_path: Path) -> None:
    file = tmp_path / "class-3.png"
    Image.new("L", (20, 10)).save(file)
    checks = DataChecks((), ("train: class 3: odd",), (ContactSheet("train: class <3>", file),))
    data = Data(source="tfds", fingerprint=None, counts={})
    html = render_rejection(data, make_facts(data_checks=checks))
    assert "<h4>Worst images</h4>" in html
    assert f'src="{data_uri(file)}"' in html
    assert "<span>train: class &lt;3&gt;</span>" in html


def test_frequent_mistakes_have_a_stronger_color(tmp_path: Path) -> None:
    matrix = perfect_matrix(size=3)
    matrix[0] = [100, 10, 1]
    names = ("a", "b", "c")
    report = make_report(
        data=Data(source=None, fingerprint=None, counts={}, class_names=names),
        verdict=make_verdict(matrix, names),
    )
    html, _ = rendered(tmp_path, report)
    assert '<td class="hit">100</td><td class="m5">10</td><td class="m1">1</td>' in html


def test_large_matrix_is_replaced_by_the_most_common_mistakes(tmp_path: Path) -> None:
    names = tuple(f"class no. {label}" for label in range(41))
    matrix = perfect_matrix(size=41)
    matrix[7][3], matrix[2][40] = 4, 5
    report = make_report(
        data=Data(source=None, fingerprint=None, counts={}, class_names=names),
        verdict=make_verdict(matrix, names),
    )
    _, page = rendered(tmp_path, report)
    assert "Confusion matrix" not in page.text
    assert "test images class no. 2 class no. 40 5 class no. 7 class no. 3 4" in page.text


def test_common_mistakes_are_at_most_20_in_descending_order() -> None:
    matrix = tuple(tuple(10 * row + column for column in range(6)) for row in range(6))
    counts = [mistake.count for mistake in common_mistakes(matrix)]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == 20
    assert counts[0] == 54


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (20, 1), (21, 2), (100, 5)])
def test_shade_is_a_fifth_of_the_most(count: int, expected: int) -> None:
    assert shade(count, 100) == expected


def test_perfect_predictions_have_no_mistakes(tmp_path: Path) -> None:
    predictions = Predictions(
        examples=90,
        correct=90,
        calibration=Calibration(bins=(), expected_error=None),
        samples=(),
        mistakes=(),
    )
    _, page = rendered(tmp_path, make_report(predictions=predictions))
    assert "All predictions are correct." in page.text


def test_more_mistakes_than_shown_are_counted(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    mistake = make_mistake()
    predictions = Predictions(
        examples=90,
        correct=87,
        calibration=Calibration(bins=(), expected_error=0.01),
        samples=(),
        mistakes=(mistake, mistake),
    )
    _, page = rendered(tmp_path, make_report(predictions=predictions))
    assert "with the highest confidence: 2 of 3." in page.text
    zero, one = CLASS_NAMES[:2]
    assert f"{one} 90.0% actual: {zero} second: {zero}, 10.0% #1" in page.text


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/a/root/Trainer/model/7", "…/Trainer/model/7"),
        ("minio://bucket/a/RunReport/1/report", "…/RunReport/1/report"),
        ("model/7", "model/7"),
    ],
)
def test_uris_are_shortened_to_their_distinctive_end(uri: str, expected: str) -> None:
    assert short_uri(uri) == expected


def test_line_of_the_lineage_ends_at_both_dots() -> None:
    path = lane_path(LineageEdge(top=1, bottom=4, start_lane=0, lane=2), 10, 20)
    assert path.startswith("M5 30C")
    assert path.endswith(" 25 50V90")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
