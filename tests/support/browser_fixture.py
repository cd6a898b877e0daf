"""Chromium for tests and screenshots, from the system or from Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


# Not session-scoped: while Playwright runs, other tests could not use asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Skips the tests if there is no browser."""
    try:
        with open_browser() as browser:
            yield browser
    except LookupError as error:
        pytest.skip(str(error))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Runs a browser until the end of the block.

    Raises:
      LookupError: if there is none.
    """
    with sync_playwright() as playwright:
        executable = _find_browser(playwright.chromium.executable_path)
        if executable is None:
            raise LookupError(
                f"no browser found: none of {', '.join(NAMES)} is on the PATH, and Playwright "
                "has none (`playwright install chromium`)"
            )
        # Chromium's sandbox does not run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with playwright.chromium.launch(executable_path=executable, args=arguments) as browser:
            yield browser


def _find_browser(playwrights_own: str) -> str | None:
    found = (shutil.which(name) for name in NAMES)
    return next(filter(None, found), playwrights_own if Path(playwrights_own).exists() else None)
