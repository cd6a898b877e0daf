"""The page classifies drawings of digits."""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect
from support.accessibility import THEMES, WIDTHS, check_accessibility
from support.release_fixtures import UNKNOWN_DATA
from support.running_server import RunningServer, running_server
from support.served_models import (
    ACCURACY,
    constant_model,
    push_digits,
    push_model,
    store_in,
)
from support.tfds_directory import real_digits

from models.definition import DATASET

pytestmark = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")

Stroke = list[tuple[float, float]]
"""Points, relative to the canvas's side."""

DIGITS: dict[int, list[Stroke]] = {
    0: [
        [
            (0.5 - 0.2 * math.sin(turn * math.pi / 12), 0.5 - 0.32 * math.cos(turn * math.pi / 12))
            for turn in range(25)
        ]
    ],
    1: [[(0.54, 0.18), (0.52, 0.4), (0.5, 0.6), (0.47, 0.84)]],
    7: [[(0.28, 0.22), (0.5, 0.22), (0.72, 0.22), (0.62, 0.42), (0.52, 0.62), (0.46, 0.82)]],
}
EXAMPLES = (2, 3, 4, 5, 7, 8)
MILLISECONDS = 20_000.0
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "has_touch": True,
    "is_mobile": True,
}
LANDSCAPE = [(640, 360), (568, 320), (844, 390)]
"""Width and height of phones on their side, in CSS pixels."""


@pytest.fixture(scope="module")
def serving_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("serving")
    push_digits(directory)
    return directory


@pytest.fixture(scope="module")
def server(browser: Browser, serving_dir: Path) -> Iterator[RunningServer]:
    with running_server(serving_dir) as running:
        yield running


@pytest.fixture
def open_page(open_pages: Callable[..., Page], server: RunningServer) -> Callable[..., Page]:
    return functools.partial(open_pages, server)


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page(viewport={"width": 1280, "height": 800})


def box_of_canvas(page: Page) -> tuple[float, float, float]:
    """Returns the left edge, the top edge and the side."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    assert box["width"] == box["height"]
    return box["x"], box["y"], box["width"]


def on_canvas(page: Page, stroke: Stroke) -> Stroke:
    left, top, side = box_of_canvas(page)
    return [(left + x * side, top + y * side) for x, y in stroke]


def scaled(strokes: list[Stroke], scale: float) -> list[Stroke]:
    """Returns the strokes, scaled around the middle of the canvas."""
    return [[(0.5 + scale * (x - 0.5), 0.5 + scale * (y - 0.5)) for x, y in s] for s in strokes]


def hold_first_classification(page: Page) -> list[Route]:
    """Holds the next request to classify, and returns a list that receives it."""
    held: list[Route] = []
    page.route("**/api/classify", lambda route: route.continue_() if held else held.append(route))
    return held


def decline(route: Route) -> None:
    """Changes the response to that for a declined picture."""
    response = route.fetch()
    route.fulfill(response=response, json={**response.json(), "declined": "more than one digit"})


def draw(page: Page, strokes: list[Stroke], lift: bool = True) -> None:
    """Draws with the mouse."""
    for stroke in strokes:
        first, *others = on_canvas(page, stroke)
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point, steps=4)
        if lift:
            page.mouse.up()


def draw_with_a_finger(page: Page, strokes: list[Stroke]) -> None:
    for stroke in strokes:
        swipe(page, on_canvas(page, stroke))


def swipe(page: Page, points: Stroke) -> None:
    """Moves a finger along points on the screen, in CSS pixels."""
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    first, *others = points
    touch("touchStart", first)
    for point in others:
        touch("touchMove", point)
    touch("touchEnd")


def expect_digit(page: Page, digit: int) -> None:
    expect(page.locator("#class")).to_have_text(str(digit), timeout=MILLISECONDS)


def expect_no_digit(page: Page) -> None:
    expect(page.locator("#class")).to_have_attribute("data-label", "")


@pytest.mark.parametrize("digit", DIGITS)
def test_drawn_digit_is_classified(page: Page, digit: int) -> None:
    draw(page, DIGITS[digit])
    expect_digit(page, digit)
    expect(page.locator("#note")).to_have_text(re.compile(r"^\d+\.\d% confidence$"))
    expect(page.locator(".best .name")).to_have_text(str(digit))
    shares = page.locator("#bars .value").all_inner_texts()
    assert len(shares) == 10
    assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=0.6)
    assert page.locator("#seen").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [
        28,
        28,
    ]


@pytest.mark.parametrize("digit", DIGITS)
def test_digit_drawn_with_a_finger_on_a_phone_is_classified(
    open_page: Callable[..., Page], digit: int
) -> None:
    page = open_page(**PHONE)
    draw_with_a_finger(page, DIGITS[digit])
    expect_digit(page, digit)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "no horizontal scrolling"
    assert page.evaluate("scrollY") == 0, "the finger draws instead of scrolling"


@pytest.mark.parametrize(("width", "height"), LANDSCAPE)
def test_canvas_fits_a_phone_on_its_side_and_the_page_scrolls_beside_it(
    open_page: Callable[..., Page], width: int, height: int
) -> None:
    page = open_page(**{**PHONE, "viewport": {"width": width, "height": height}})

    def assert_whole_canvas_is_on_the_screen() -> None:
        left, top, side = box_of_canvas(page)
        assert side > 0.8 * height
        assert min(left, top) > 0
        assert left + side < width
        assert top + side < height

    assert_whole_canvas_is_on_the_screen()
    draw_with_a_finger(page, DIGITS[7])
    expect_digit(page, 7)
    assert page.evaluate("scrollY") == 0, "the finger draws instead of scrolling"
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    left, _, side = box_of_canvas(page)
    for x in (left / 2, left + side + 0.75 * (width - left - side)):
        page.evaluate("scrollTo(0, 0)")
        swipe(page, [(x, height - 40 - 10 * step) for step in range(20)])
        page.wait_for_function("() => scrollY > 0")
        assert_whole_canvas_is_on_the_screen()
    expect_digit(page, 7)


@pytest.mark.parametrize("scale", [0.25, 0.6, 1.4])
def test_digits_drawn_small_or_large_are_classified(page: Page, scale: float) -> None:
    for digit, strokes in DIGITS.items():
        draw(page, scaled(strokes, scale))
        expect_digit(page, digit)
        expect(page.locator("#note")).to_have_text(re.compile(r"^(9\d|100)\.\d% confidence$"))
        page.keyboard.press("Escape")
        expect_no_digit(page)


def test_examples_are_classified_and_can_be_edited(page: Page) -> None:
    for digit in EXAMPLES:
        page.get_by_role("button", name=f"Example drawing: {digit}").click()
        expect_digit(page, digit)
    page.get_by_role("button", name="Example drawing: 4").click()
    expect_digit(page, 4)
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    expect_no_digit(page)


def test_declined_picture_is_not_shown_as_a_digit(page: Page) -> None:
    page.route("**/api/classify", decline)
    with page.expect_response("**/api/classify"):
        draw(page, DIGITS[1], lift=False)
    expect(page.locator("#stale")).to_have_text("classifying …")
    expect_no_digit(page)
    page.mouse.up()
    expect(page.locator("#class")).to_have_text("Not a clear digit: more than one digit")
    expect(page.locator("#result")).not_to_contain_text("confidence")
    expect(page.locator("#note")).to_have_text("probabilities are unreliable")
    expect(page.locator("[aria-live]")).to_have_text("Not a clear digit: more than one digit")
    declined = page.locator(".best .track span").evaluate("bar => getComputedStyle(bar).background")
    page.unroute("**/api/classify")
    draw(page, [[(0.54, 0.18), (0.54, 0.2)]])
    expect_digit(page, 1)
    confident = page.locator(".best .track span").evaluate(
        "bar => getComputedStyle(bar).background"
    )
    assert declined != confident, "no strong bar without a clear digit"


def test_result_is_outdated_while_a_newer_drawing_is_classified(page: Page) -> None:
    draw(page, DIGITS[1])
    expect_digit(page, 1)
    expect(page.locator("#stale")).to_be_hidden()
    current = page.locator("#class").evaluate("name => getComputedStyle(name).color")

    held = hold_first_classification(page)
    page.get_by_role("button", name="Example drawing: 7").click()
    expect(page.locator("#stale")).to_have_text("Outdated: classifying …")
    expect_digit(page, 1)
    expect(page.locator("#note")).to_be_hidden()
    expect(page.locator("[aria-live]")).to_have_text("Outdated: classifying …")
    assert page.locator("#class").evaluate("name => getComputedStyle(name).color") != current

    held[0].continue_()
    expect_digit(page, 7)
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#note")).to_be_visible()
    expect(page.locator("[aria-live]")).to_have_text(re.compile(r"^7, "))


def test_result_of_a_cleared_drawing_is_never_shown(page: Page) -> None:
    held = hold_first_classification(page)
    draw(page, DIGITS[1])
    page.keyboard.press("Escape")
    with page.expect_response("**/api/classify"):
        held[0].continue_()
    page.wait_for_timeout(200)
    expect_no_digit(page)
    expect(page.locator("#note")).to_have_text("nothing drawn yet")
    expect(page.locator("#stale")).to_be_hidden()


@pytest.mark.parametrize("key", ["Enter", "Escape", None])
def test_canvas_has_visible_focus_after_clear(page: Page, key: str | None) -> None:
    def border() -> str:
        return page.locator(".paper").evaluate("paper => getComputedStyle(paper).borderColor")

    unfocused = border()
    page.get_by_role("button", name="Example drawing: 7").click()
    expect_digit(page, 7)
    clear = page.get_by_role("button", name="Clear")
    if key:
        clear.press(key)
    else:
        clear.click()
    expect(page.locator("#canvas")).to_be_focused()
    assert border() != unfocused
    if key:
        outline = page.locator("#canvas").evaluate("canvas => getComputedStyle(canvas).outline")
        assert "solid 3px" in outline


@pytest.mark.parametrize("theme", THEMES)
def test_page_is_accessible(open_page: Callable[..., Page], theme: str) -> None:
    page = open_page(color_scheme=theme)

    def assert_accessible() -> None:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert check_accessibility(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width

    assert_accessible()
    draw(page, DIGITS[7])
    expect_digit(page, 7)
    assert_accessible()
    page.evaluate("setStale('classifying …')")
    assert_accessible()
    page.route("**/api/classify", decline)
    page.get_by_role("button", name="Example drawing: 4").click()
    expect(page.locator("#class")).to_contain_text("Not a clear digit")
    page.evaluate("notify('A notice')")
    assert_accessible()


def test_result_changes_during_drawing(page: Page) -> None:
    draw(page, [DIGITS[7][0][:5]], lift=False)
    expect(page.locator("#class")).to_have_text(re.compile(r"^\d$"))
    seen = page.locator("#seen").get_attribute("src")
    assert seen
    for point in on_canvas(page, DIGITS[7][0][5:]):
        page.mouse.move(*point, steps=4)
    expect(page.locator("#seen")).not_to_have_attribute("src", seen)
    expect_digit(page, 7)
    page.mouse.up()


def test_one_request_at_a_time_and_the_newest_drawing_last(page: Page) -> None:
    under_way: list[Request] = []
    most = 0
    sent = 0

    def begin(request: Request) -> None:
        nonlocal most, sent
        if request.url.endswith("/api/classify"):
            under_way.append(request)
            most = max(most, len(under_way))
            sent += 1

    def end(request: Request) -> None:
        if request in under_way:
            under_way.remove(request)

    page.on("request", begin)
    page.on("requestfinished", end)
    draw(page, DIGITS[0])
    expect_digit(page, 0)
    page.wait_for_timeout(500)
    assert most == 1
    assert not under_way
    assert sent > 2
    shown = page.locator("#seen").get_attribute("src")
    page.evaluate("classifyOnce(revision)")
    assert page.locator("#seen").get_attribute("src") == shown, (
        "the result belongs to the complete drawing"
    )


def test_drawing_can_be_cleared_and_undone(page: Page) -> None:
    expect(page.get_by_role("button", name="Clear")).to_be_disabled()
    draw(page, DIGITS[1])
    expect_digit(page, 1)
    draw(page, [[(0.28, 0.22), (0.54, 0.18)], [(0.2, 0.5), (0.8, 0.5)]])
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Undo").click()
    expect_digit(page, 1)
    page.keyboard.press("Escape")
    expect_no_digit(page)
    expect(page.locator("#hint")).to_be_visible()
    expect(page.locator("#seen")).to_be_hidden()
    draw(page, DIGITS[7])
    expect_digit(page, 7)
    page.get_by_role("button", name="Clear").click()
    expect_no_digit(page)


def test_picture_can_be_opened(page: Page, tmp_path: Path) -> None:
    images, labels = real_digits()
    index = next(number for number in range(-40, 0) if labels[number] == 0)
    file = tmp_path / "digit.png"
    Image.fromarray(images[index, :, :, 0]).resize((200, 200)).save(file)
    page.get_by_label("Open a picture").set_input_files(file)
    expect_digit(page, 0)
    (tmp_path / "text.png").write_text("no picture")
    page.get_by_label("Open a picture").set_input_files(tmp_path / "text.png")
    expect(page.get_by_role("status")).to_contain_text("can't open this file")
    expect_digit(page, 0)


def test_result_is_announced_after_drawing(page: Page) -> None:
    draw(page, DIGITS[1])
    expect(page.locator("[aria-live]")).to_have_text(re.compile(r"^1, \d+\.\d%$"))
    expect(page.get_by_role("img", name="Draw a digit here")).to_be_visible()
    expect(page.get_by_role("list", name="Probability of each digit")).to_be_visible()


def test_page_follows_the_preferred_color_scheme(open_page: Callable[..., Page]) -> None:
    def lightness(scheme: str) -> int:
        page = open_page(color_scheme=scheme)
        draw(page, DIGITS[1])
        expect_digit(page, 1)
        screenshot = Image.open(io.BytesIO(page.screenshot())).convert("L")
        return screenshot.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[return-value]

    assert lightness("light") > 200
    assert lightness("dark") < 60


def test_page_follows_a_new_version_and_its_rollback(
    page: Page, server: RunningServer, serving_dir: Path, tmp_path: Path
) -> None:
    first = server.get("/api/model").json()["version"]
    model = page.locator("#model")
    expect(model).to_contain_text(f"version {first}")
    expect(model).to_contain_text(f"{ACCURACY:.2%} accuracy on test images")
    draw(page, DIGITS[7])
    expect_digit(page, 7)

    second = push_model(constant_model(tmp_path / "three", 3, 10), serving_dir, UNKNOWN_DATA)
    expect(model).to_contain_text(f"version {second}", timeout=MILLISECONDS)
    expect(page.get_by_role("status")).to_contain_text(f"version {second} is now live")
    expect_digit(page, 3)

    third, _ = store_in(serving_dir).roll_back()
    expect(model).to_contain_text(f"version {third.version}", timeout=MILLISECONDS)
    expect_digit(page, 7)


def test_page_shows_when_the_server_stops_and_returns(browser: Browser, serving_dir: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(MILLISECONDS)
    with running_server(serving_dir) as server:
        page.goto(server.url)
        draw(page, DIGITS[1])
        expect_digit(page, 1)

    expect(page.get_by_role("status")).to_contain_text("Server unreachable", timeout=MILLISECONDS)
    expect(page.locator("#dot")).to_have_class("gone")
    expect(page.locator("#stale")).to_have_text("Outdated: server unreachable")
    page.keyboard.press("Escape")
    draw(page, DIGITS[7])

    again = RunningServer(serving_dir, port=server.port)
    try:
        expect(page.locator("#dot")).to_have_class("ready", timeout=3 * MILLISECONDS)
        expect_digit(page, 7)
        expect(page.get_by_role("status")).to_be_hidden()
        expect(page.locator("#stale")).to_be_hidden()
    finally:
        again.stop()
        page.close()
