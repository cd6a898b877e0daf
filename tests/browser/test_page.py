"""The page shows the classes of the live release, for any data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.accessibility import THEMES, WIDTHS, check_accessibility
from support.running_server import RunningServer, running_server
from support.served_models import SHADES, encode, push_model, shade_model, shades, store_in

MILLISECONDS = 20_000.0
GRAYS = SHADES.model_copy(
    update={
        "title": "Many grays",
        "noun": "ink",
        "image_shape": (8, 8, 1),
        "class_names": tuple(f"gray number {number}" for number in range(12)),
    }
)
"""Grayscale, so that users can draw, and more classes than the page has bars."""


@pytest.fixture(scope="module")
def serving_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("serving")
    push_model(shade_model(tmp_path_factory.mktemp("model")), directory)
    return directory


@pytest.fixture(scope="module")
def server(browser: Browser, serving_dir: Path) -> Iterator[RunningServer]:
    with running_server(serving_dir) as running:
        yield running


def open_picture(page: Page, directory: Path, label: int) -> None:
    """Opens a picture of one of four shades."""
    file = directory / f"{label}.png"
    file.write_bytes(encode(shades(4)[label].repeat(8, axis=0).repeat(8, axis=1)))
    page.get_by_label("Open a picture").set_input_files(file)


@pytest.mark.parametrize("width", [1280, 390])
def test_color_pictures_can_be_opened_but_not_drawn(
    open_pages: Callable[..., Page], server: RunningServer, tmp_path: Path, width: int
) -> None:
    page = open_pages(server, viewport={"width": width, "height": 800})
    expect(page.get_by_role("heading")).to_have_text("Open a picture")
    expect(page).to_have_title(f"Open a picture · {SHADES.title}")
    expect(page.locator("#model")).to_contain_text(SHADES.title)
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    expect(page.locator("#examples")).to_be_hidden()
    assert page.locator("#bars .name").all_inner_texts() == list(SHADES.class_names)
    with page.expect_file_chooser():
        page.locator("#canvas").click()
    expect(page.locator("#class")).to_have_attribute("data-label", "")

    for label, name in enumerate(SHADES.class_names):
        open_picture(page, tmp_path, label)
        expect(page.locator("#class")).to_have_text(name)
        expect(page.locator(".best .name")).to_have_text(name)
    assert page.locator("#class b").count() == 0, "names are text, not HTML"
    seen = page.get_by_role("img", name="The picture in 32 by 32 pixels")
    assert seen.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [32, 32]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no horizontal scrolling"
    page.keyboard.press("Escape")
    expect(page.locator("#class")).to_have_attribute("data-label", "")


def test_ten_most_probable_of_many_classes_are_ranked(
    open_pages: Callable[..., Page], browser: Browser, tmp_path: Path
) -> None:
    push_model(shade_model(tmp_path / "model", GRAYS), tmp_path / "serving", GRAYS)
    with running_server(tmp_path / "serving") as server:
        page = open_pages(server)
        expect(page.get_by_role("heading")).to_have_text("Draw an ink")
        expect(page.get_by_role("list", name="Probability of each ink")).to_be_visible()
        expect(page.locator("#examples")).to_be_hidden()
        open_picture(page, tmp_path, 3)
        expect(page.locator("#class")).to_have_text("gray number 11")
        names = page.locator("#bars .name").all_inner_texts()
        assert names[:3] == ["gray number 11", "gray number 10", "gray number 9"]
        assert len(names) == 10
        assert all(name.isprintable() for name in names)

        page.keyboard.press("Escape")
        box = page.locator("#canvas").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 300, steps=5)
        page.mouse.up()
        expect(page.locator("#class")).not_to_have_attribute("data-label", "")
        page.close()


def test_classes_follow_a_new_release_and_its_rollback(
    open_pages: Callable[..., Page], server: RunningServer, serving_dir: Path, tmp_path: Path
) -> None:
    page = open_pages(server)
    open_picture(page, tmp_path, 1)
    expect(page.locator("#class")).to_have_text("dark")

    push_model(shade_model(tmp_path / "model", GRAYS), serving_dir, GRAYS)
    expect(page.get_by_role("heading")).to_have_text("Draw an ink", timeout=MILLISECONDS)
    expect(page.locator("#class")).to_have_text("gray number 4")

    store_in(serving_dir).roll_back()
    expect(page.get_by_role("heading")).to_have_text("Open a picture", timeout=MILLISECONDS)
    expect(page.locator("#class")).to_have_text("dark")
    assert page.locator("#bars .name").all_inner_texts() == list(SHADES.class_names)


def test_page_waits_for_a_first_release(browser: Browser, tmp_path: Path) -> None:
    server = RunningServer(tmp_path)
    page = browser.new_page()
    try:
        server.wait_until(lambda: server.responds("/healthz"))
        page.goto(server.url)
        expect(page.locator("#model")).to_contain_text("Waiting for a model")
        push_model(shade_model(tmp_path / "model"), tmp_path)
        expect(page.locator("#dot")).to_have_class("ready", timeout=MILLISECONDS)
        expect(page.get_by_role("heading")).to_have_text("Open a picture")
    finally:
        page.close()
        server.stop()


@pytest.mark.parametrize("theme", THEMES)
def test_page_is_accessible(
    open_pages: Callable[..., Page], server: RunningServer, tmp_path: Path, theme: str
) -> None:
    page = open_pages(server, color_scheme=theme)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert check_accessibility(page) == []
    open_picture(page, tmp_path, 1)
    expect(page.locator("#class")).to_have_text("dark")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert check_accessibility(page) == []


def test_bars_are_visible_in_forced_colors(
    open_pages: Callable[..., Page], server: RunningServer, tmp_path: Path
) -> None:
    page = open_pages(server, forced_colors="active")
    open_picture(page, tmp_path, 1)
    expect(page.locator("#class")).to_have_text("dark")
    bar, track = (
        page.locator(selector).evaluate("part => getComputedStyle(part).backgroundColor")
        for selector in (".best .track span", ".best .track")
    )
    assert bar != track


@pytest.mark.parametrize(("preference", "seconds"), [("no-preference", "0.12s"), ("reduce", "0s")])
def test_bars_move_unless_reduced_motion_is_preferred(
    open_pages: Callable[..., Page], server: RunningServer, preference: str, seconds: str
) -> None:
    page = open_pages(server, reduced_motion=preference)
    bar = page.locator("#bars .track span").first
    assert bar.evaluate("bar => getComputedStyle(bar).transitionDuration") == seconds
