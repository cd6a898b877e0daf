"""A real browser, where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright
from support.running_server import RunningServer

MILLISECONDS = 20_000.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser(own: str) -> str | None:
    """The path of a Chromium: of the system, or Playwright's own, which is at `own` if it is."""
    found = (shutil.which(name) for name in NAMES)
    return next(filter(None, found), own if Path(own).exists() else None)


# Not for the session: while Playwright runs, other tests could not use asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        executable = find_browser(playwright.chromium.executable_path)
        if executable is None:
            pytest.skip(
                f"there is no browser: none of {', '.join(NAMES)} is on the PATH, and Playwright "
                "has none (`playwright install chromium`)"
            )
        # Chromium's sandbox refuses to run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield started
        started.close()


@pytest.fixture
def open_pages(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page of a server in a context of these options; nothing may go wrong in it."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_with(server: RunningServer, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(MILLISECONDS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: problems.extend(_elsewhere(request, server)))
        page.goto(server.url)
        expect(page.locator("#dot")).to_have_class("ready", timeout=MILLISECONDS)
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert not problems


def _elsewhere(request: Request, server: RunningServer) -> list[str]:
    return [] if request.url.startswith((server.url, "data:", "blob:")) else [request.url]
