"""A real browser, where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

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
