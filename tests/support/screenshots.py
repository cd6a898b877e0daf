"""The README's pictures of the report and the live page; `make screenshots` takes them.

They show the newest run in `output/` and its live release, so run the pipeline first.
"""

from __future__ import annotations

import argparse
import io
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from pipeline.runs.page import write_newest
from support.accessibility import THEMES
from support.browser_fixture import open_browser
from support.running_server import ROOT, running_server

DIRECTORY = ROOT / "docs" / "images"
FILES = [f"{name}-{scheme}.png" for name in ("report", "page") for scheme in THEMES]
_WIDTH, _HEIGHT = 1200, 900
_MILLISECONDS = 30_000.0

# A 2, relative to the canvas's width and height.
_STROKE = [
    *(
        (0.5 - 0.19 * math.cos(turn * math.pi / 12), 0.36 - 0.17 * math.sin(turn * math.pi / 12))
        for turn in range(14)
    ),
    *((0.66 - 0.36 * step / 8, 0.48 + 0.33 * step / 8) for step in range(9)),
    *((0.3 + 0.42 * step / 6, 0.81) for step in range(7)),
]


def take_all(pipeline_root: Path, serving_dir: Path, directory: Path = DIRECTORY) -> None:
    """Writes FILES.

    Args:
      pipeline_root: pipeline root of the run in the report.
      serving_dir: directory of the served release.
      directory: target directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_browser() as browser,
        running_server(serving_dir) as server,
    ):
        report = write_newest(pipeline_root, Path(folder) / "report.html")
        for scheme in THEMES:
            with _open(browser, report.as_uri(), scheme) as page:
                _save(page, directory / f"report-{scheme}.png")
            with _open(browser, server.url, scheme, zoom=1.2) as page:
                _draw(page)
                _save(page, directory / f"page-{scheme}.png")


@contextmanager
def _open(browser: Browser, url: str, scheme: str, zoom: float = 1) -> Iterator[Page]:
    page = browser.new_page(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": round(_WIDTH / zoom), "height": round(_HEIGHT / zoom)},
        device_scale_factor=zoom,
    )
    page.set_default_timeout(_MILLISECONDS)
    page.goto(url)
    yield page
    page.close()


def _draw(page: Page) -> None:
    """Draws the 2 and waits until it is classified."""
    expect(page.locator("#dot")).to_have_class("ready", timeout=_MILLISECONDS)
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in _STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points:
        page.mouse.move(*point, steps=3)
    page.mouse.up()
    expect(page.locator("#class")).to_have_attribute("data-label", "2", timeout=_MILLISECONDS)


def _save(page: Page, file: Path) -> None:
    """Saves the visible part of the page with a palette, to keep the file small."""
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    palette = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(file, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline-root", type=Path, default=ROOT / "output" / "pipeline")
    parser.add_argument("--serving-dir", type=Path, default=ROOT / "output" / "serving")
    options = parser.parse_args()
    take_all(options.pipeline_root, options.serving_dir)
