"""People draw digits on the page, and it says which they are."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect
from support.running_server import RunningServer, running_server
from support.served_models import ACCURACY, constant_model, push_model, trained_model
from support.small_trainings import real_digits

from components.releases.rollback import roll_back

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
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "has_touch": True,
    "is_mobile": True,
}
SECONDS = 20_000.0


@pytest.fixture(scope="module")
def serving_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("serving")
    push_model(trained_model(), directory)
    return directory


@pytest.fixture(scope="module")
def server(browser: Browser, serving_dir: Path) -> Iterator[RunningServer]:
    with running_server(serving_dir) as running:
        yield running


@pytest.fixture
def open_page(browser: Browser, server: RunningServer) -> Iterator[Callable[..., Page]]:
    """Opens the page in a context of these options; nothing may go wrong in it."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_with(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: problems.extend(_elsewhere(request, server)))
        page.goto(server.url)
        expect(page.locator("#dot")).to_have_class("ready", timeout=SECONDS)
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert not problems


def _elsewhere(request: Request, server: RunningServer) -> list[str]:
    return [] if request.url.startswith((server.url, "data:", "blob:")) else [request.url]


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
    expect(page.locator("#digit")).to_have_text(str(digit), timeout=SECONDS)


def expect_no_digit(page: Page) -> None:
    expect(page.locator("#digit")).to_have_attribute("data-digit", "")


@pytest.mark.parametrize("digit", DIGITS)
def test_digit_that_is_drawn_is_recognised(page: Page, digit: int) -> None:
    draw(page, DIGITS[digit])
    expect_digit(page, digit)
    expect(page.locator("#confidence")).to_have_text(re.compile(r"^\d+\.\d % sure$"))
    expect(page.locator(".best .name")).to_have_text(str(digit))
    shares = page.locator("#bars .value").all_inner_texts()
    assert len(shares) == 10
    assert sum(float(share.split()[0]) for share in shares) == pytest.approx(100, abs=0.6)
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
    expect(page.locator("#digit")).to_have_text(re.compile(r"^\d$"))
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
        if request.url.endswith("/api/digit"):
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
    expect(page.locator("[aria-live]")).to_have_text(re.compile(r"^1, \d+\.\d %$"))
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
    expect(model).to_contain_text(f"{100 * ACCURACY:.2f} % of test images right")
    draw(page, DIGITS[7])
    expect_digit(page, 7)

    second = push_model(constant_model(tmp_path / "three", 3), serving_dir, accuracy=0.1)
    expect(model).to_contain_text(f"version {second}", timeout=SECONDS)
    expect(page.get_by_role("status")).to_contain_text(f"version {second} answers now")
    expect_digit(page, 3)

    third, _ = roll_back(serving_dir / "mnist")
    expect(model).to_contain_text(f"version {third.version}", timeout=SECONDS)
    expect_digit(page, 7)


def test_server_that_is_gone_is_noticed_and_so_is_its_return(
    browser: Browser, serving_dir: Path
) -> None:
    page = browser.new_page()
    page.set_default_timeout(SECONDS)
    with running_server(serving_dir) as server:
        page.goto(server.url)
        draw(page, DIGITS[1])
        expect_digit(page, 1)

    expect(page.get_by_role("status")).to_contain_text("Server unreachable", timeout=SECONDS)
    expect(page.locator("#dot")).to_have_class("gone")
    page.keyboard.press("Escape")
    draw(page, DIGITS[7])

    again = RunningServer(serving_dir, port=server.port)
    try:
        expect_digit(page, 7)
        expect(page.get_by_role("status")).to_be_hidden(timeout=SECONDS)
        expect(page.locator("#dot")).to_have_class("ready")
    finally:
        again.stop()
        page.close()
