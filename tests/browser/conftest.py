"""Opens pages in a real browser, if one is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect
from support.browser_fixture import browser
from support.running_server import RunningServer

__all__ = ["browser"]

MILLISECONDS = 20_000.0


@pytest.fixture
def open_pages(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a server's page. Fails on console messages, errors, and requests to other hosts.

    Options are passed to the browser context.
    """
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
