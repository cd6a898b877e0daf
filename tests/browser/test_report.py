"""The report and the index of runs in a browser: accessibility, contrast, size of text, print."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from support.accessibility import THEMES, WIDTHS, check_accessibility
from support.browser_fixture import browser
from support.report_inputs import (
    AUGMENTATION,
    EPOCHS,
    make_history,
    make_mistake,
    make_verdict,
    perfect_matrix,
    write_augmented_sheet,
)

from components.common.provenance import ArtifactRecord, Data
from components.report.content import Bin, Calibration, Predictions, Report, Training
from components.report.facts import (
    BlessedModel,
    CheckedFeature,
    DataChecks,
    Lineage,
    LineageEdge,
    LineageRow,
    RunFacts,
    StageTime,
)
from components.report.page import render, render_rejection
from components.report.pictures import write_augmented
from components.report.run_index import RunRow, render_index
from models.features import IMAGE_SHAPE, NUM_CLASSES

__all__ = ["browser"]

DATA = Data(source="made up", fingerprint="f" * 64, counts={"train": 1234, "test": 90})
CHECKS = DataChecks((CheckedFeature("contrast", "FLOAT", "0 to 1", "0.1 to 0.9"),), ())
ANOMALIES = DataChecks(CHECKS.features, ("train: label: class 3 is absent",))

_TEXTS = """() => {
  const luminance = (color) => {
    const [r, g, b] = color.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const background = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    const text = walker.currentNode.textContent.trim();
    if (!text || !box.width || element.closest("title")) continue;
    const style = getComputedStyle(element);
    const svg = element.ownerSVGElement;
    const scale = svg ? svg.getScreenCTM().a : 1;
    const [low, high] = [parse(svg ? style.fill : style.color), background(element)]
      .map((color) => luminance(color.slice(0, 3)))
      .sort((a, b) => a - b);
    found.push({
      text,
      inChart: Boolean(svg),
      size: parseFloat(style.fontSize) * scale,
      contrast: (high + 0.05) / (low + 0.05),
    });
  }
  return found;
}"""
"""Returns the texts of the page, with size in CSS pixels and contrast as defined by WCAG 2.2."""


def make_predictions() -> Predictions:
    sample = make_mistake()
    bins = tuple(
        Bin(
            lower=i / 5,
            upper=(i + 1) / 5,
            examples=10**i,
            confidence=(i + 0.5) / 5,
            accuracy=(i + 0.3) / 5,
        )
        for i in range(5)
    )
    return Predictions(
        examples=90,
        correct=80,
        calibration=Calibration(bins=bins, expected_error=0.01),
        samples=(sample,),
        mistakes=(sample.model_copy(update={"predicted": None}),) * 2,
    )


def make_report(blessed: bool) -> Report:
    """Creates a report with text in every color and matrix cells in every shade."""
    matrix = perfect_matrix(support=900 if blessed else 1)
    for column in range(NUM_CLASSES):
        matrix[0][column] += column
    splits = {split: dict.fromkeys(range(NUM_CLASSES), 9) for split in ("train", "test")}
    return Report(
        model=ArtifactRecord(id=5, type="Model", uri="/root/Trainer/model/7"),
        data=DATA,
        label_counts=splits,
        verdict=make_verdict(matrix),
        training=Training.model_validate(make_history(EPOCHS)),
        hyperparameters={"architecture": "cnn", "batch_size": 64, **AUGMENTATION},
        predictions=make_predictions(),
        problems={} if blessed else {"classes": "OSError: lost"},
        class_pictures={0: "x.png"} if blessed else {},
        augmented_picture="augmented.png" if blessed else None,
        packages={"tfx": "1.2.3"},
    )


def make_facts(checks: DataChecks = CHECKS) -> RunFacts:
    rows = (
        LineageRow("pushed model 3", "…/a/b/3", "artifact", 0),
        LineageRow("Pusher, today", "from model 1", "stage", 0),
    )
    return RunFacts(
        started="2026-11-22 17:18 UTC",
        seconds=725.0,
        release="released as version 17",
        stages=(StageTime("Trainer", "complete", 705, 1.0), StageTime("Pusher", "failed", 9, 0.1)),
        history=tuple(BlessedModel(i, "today", 0.99 + i / 1000, i == 2) for i in range(3)),
        lineage=Lineage(rows, (LineageEdge(0, 1, 0, 0),)),
        data_checks=checks,
        index="../index.html",
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("pages")
    Image.new("L", (28, 28)).save(directory / "x.png")
    write_augmented_sheet(directory / "sheet.png")
    write_augmented(directory / "sheet.png", IMAGE_SHAPE, directory)
    good, bad = make_report(blessed=True), make_report(blessed=False)
    rows = [
        RunRow("2026-11-22 17:18 UTC", "a/report.html", "", "released as version 17", good, ""),
        RunRow("2026-11-22 16:18 UTC", None, "data rejected", "not pushed", None, ""),
        RunRow("2026-11-22 15:18 UTC", "b/report.html", "", "not pushed", bad, "can't be read"),
    ]
    texts = {
        "blessed": render(good, directory, make_facts()),
        "not blessed": render(bad, directory),
        "data rejected": render_rejection(DATA, make_facts(ANOMALIES)),
        "index": render_index("Made up", rows),
    }
    files = {name: directory / f"{name}.html" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text, encoding="utf-8")
    return files


@pytest.fixture
def open_file(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts: list[BrowserContext] = []

    def open_with(file: Path, width: int, theme: str) -> Page:
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=theme))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        return page

    yield open_with
    for context in contexts:
        context.close()


NAMES = ("blessed", "not blessed", "data rejected", "index")

each_view = pytest.mark.parametrize(
    ("name", "width", "theme"), [*itertools.product(NAMES, WIDTHS, THEMES)]
)


@each_view
def test_page_is_accessible(
    pages: dict[str, Path], open_file: Callable[..., Page], name: str, width: int, theme: str
) -> None:
    assert check_accessibility(open_file(pages[name], width, theme)) == []


@each_view
def test_text_is_legible_including_charts(
    pages: dict[str, Path], open_file: Callable[..., Page], name: str, width: int, theme: str
) -> None:
    page = open_file(pages[name], width, theme)
    texts = page.evaluate(_TEXTS)
    assert [text for text in texts if text["contrast"] < 4.5] == []
    assert [text for text in texts if text["size"] < 11] == []
    charts = page.locator("svg.chart text").count()
    assert sum(text["inChart"] for text in texts) == charts
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("theme", THEMES)
def test_marks_of_charts_have_contrast(
    pages: dict[str, Path], open_file: Callable[..., Page], theme: str
) -> None:
    """WCAG 2.2 requires 3:1 for graphics (1.4.11)."""
    page = open_file(pages["blessed"], 1024, theme)
    for mark, behind in [
        ("--series-1", "--card"),
        ("--series-2", "--card"),
        ("--series-2", "--series-1-pale"),
        ("--muted", "--card"),
        ("--accent", "--card"),
    ]:
        probe = page.evaluate(
            """([mark, behind]) => {
              const probe = document.createElement("p");
              probe.textContent = "probe";
              probe.style.color = `var(${mark})`;
              probe.style.background = `var(${behind})`;
              document.body.append(probe);
            }""",
            [mark, behind],
        )
        assert probe is None
        assert page.evaluate(_TEXTS)[-1]["contrast"] >= 3, (mark, behind)


def test_links_target_visible_sections(
    pages: dict[str, Path], open_file: Callable[..., Page]
) -> None:
    page = open_file(pages["blessed"], 1440, "light")
    page.get_by_role("link", name="Lineage").click()
    assert page.locator("#lineage h2").is_visible()
    assert page.evaluate("document.querySelector('#lineage').getBoundingClientRect().top") < 900
    assert page.get_by_role("navigation").is_visible()


def test_print_is_light_and_omits_interactive_elements(
    pages: dict[str, Path], open_file: Callable[..., Page]
) -> None:
    page = open_file(pages["blessed"], 720, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_role("navigation").is_visible()
    texts = page.evaluate(_TEXTS)
    assert [text for text in texts if text["contrast"] < 4.5 or text["size"] < 11] == []
