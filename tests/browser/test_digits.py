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
from playwright.sync_api import Browser, Page, Request, expect
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
"""Points in shares of the side of the drawing."""

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
MILLISECONDS = 20_000.0
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "has_touch": True,
    "is_mobile": True,
}


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


def on_canvas(page: Page, stroke: Stroke) -> Stroke:
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]


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
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    for stroke in strokes:
        first, *others = on_canvas(page, stroke)
        touch("touchStart", first)
        for point in others:
            touch("touchMove", point)
        touch("touchEnd")


def expect_digit(page: Page, digit: int) -> None:
    expect(page.locator("#class")).to_have_text(str(digit), timeout=MILLISECONDS)


def expect_no_digit(page: Page) -> None:
    expect(page.locator("#class")).to_have_attribute("data-label", "")


@pytest.mark.parametrize("digit", DIGITS)
def test_digit_that_is_drawn_is_recognised(page: Page, digit: int) -> None:
    draw(page, DIGITS[digit])
    expect_digit(page, digit)
    expect(page.locator("#confidence")).to_have_text(re.compile(r"^\d+\.\d% confidence$"))
    expect(page.locator(".best .name")).to_have_text(str(digit))
    shares = page.locator("#bars .value").all_inner_texts()
    assert len(shares) == 10
    assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=0.6)
    assert page.locator("#seen").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [
        28,
        28,
    ]


@pytest.mark.parametrize("digit", DIGITS)
def test_digit_that_is_drawn_with_a_finger_on_a_phone_is_recognised(
    open_page: Callable[..., Page], digit: int
) -> None:
    page = open_page(**PHONE)
    draw_with_a_finger(page, DIGITS[digit])
    expect_digit(page, digit)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing to scroll aside"
    assert page.evaluate("scrollY") == 0, "the finger has drawn, not scrolled"


def test_answer_changes_while_one_draws(page: Page) -> None:
    draw(page, [DIGITS[7][0][:3]], lift=False)
    expect(page.locator("#class")).to_have_text(re.compile(r"^\d$"))
    seen = page.locator("#seen").get_attribute("src")
    assert seen
    for point in on_canvas(page, DIGITS[7][0][3:]):
        page.mouse.move(*point, steps=4)
    expect(page.locator("#seen")).not_to_have_attribute("src", seen)
    expect_digit(page, 7)
    page.mouse.up()


def test_one_request_at_a_time_and_the_newest_drawing_last(page: Page) -> None:
    under_way: list[Request] = []
    most = 0
    asked = 0

    def begin(request: Request) -> None:
        nonlocal most, asked
        if request.url.endswith("/api/classify"):
            under_way.append(request)
            most = max(most, len(under_way))
            asked += 1

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
    assert asked > 2
    shown = page.locator("#seen").get_attribute("src")
    page.evaluate("askOnce()")
    assert page.locator("#seen").get_attribute("src") == shown, "it was the whole drawing already"


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
    expect(page.get_by_role("status")).to_contain_text("not a picture")
    expect_digit(page, 0)


def test_answer_is_read_aloud_when_the_drawing_is_finished(page: Page) -> None:
    draw(page, DIGITS[1])
    expect(page.locator("[aria-live]")).to_have_text(re.compile(r"^1, \d+\.\d%$"))
    expect(page.get_by_role("img", name="Draw a digit here")).to_be_visible()
    expect(page.get_by_role("list", name="Probability of each digit")).to_be_visible()


def test_page_is_dark_where_that_is_preferred(open_page: Callable[..., Page]) -> None:
    def lightness(scheme: str) -> int:
        page = open_page(color_scheme=scheme)
        draw(page, DIGITS[1])
        expect_digit(page, 1)
        screenshot = Image.open(io.BytesIO(page.screenshot())).convert("L")
        return screenshot.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[return-value]

    assert lightness("light") > 200
    assert lightness("dark") < 60


def test_new_version_is_seen_without_a_restart_and_so_is_a_rollback(
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
    expect(page.get_by_role("status")).to_contain_text(f"version {second} is live now")
    expect_digit(page, 3)

    third, _ = store_in(serving_dir).roll_back()
    expect(model).to_contain_text(f"version {third.version}", timeout=MILLISECONDS)
    expect_digit(page, 7)


def test_server_that_is_gone_is_noticed_and_so_is_its_return(
    browser: Browser, serving_dir: Path
) -> None:
    page = browser.new_page()
    page.set_default_timeout(MILLISECONDS)
    with running_server(serving_dir) as server:
        page.goto(server.url)
        draw(page, DIGITS[1])
        expect_digit(page, 1)

    expect(page.get_by_role("status")).to_contain_text("Server unreachable", timeout=MILLISECONDS)
    expect(page.locator("#dot")).to_have_class("gone")
    page.keyboard.press("Escape")
    draw(page, DIGITS[7])

    again = RunningServer(serving_dir, port=server.port)
    try:
        expect_digit(page, 7)
        expect(page.get_by_role("status")).to_be_hidden(timeout=MILLISECONDS)
        expect(page.locator("#dot")).to_have_class("ready")
    finally:
        again.stop()
        page.close()
