"""Checks a page in the browser with axe-core (https://github.com/dequelabs/axe-core)."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDTHS = (320, 640, 1024, 1440)
"""In CSS pixels: a small phone, a large phone, a tablet, a desktop."""

THEMES = ("light", "dark")
"""Values of `prefers-color-scheme`."""


def check_accessibility(page: Page) -> list[str]:
    """Runs all axe-core rules, best practices included, on the page in its current state.

    Works even if the page's Content-Security-Policy forbids scripts.

    Returns:
      One line per violation, with the rule, the element's CSS selector and the reason.
    """
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['target']}: {' '.join(node['failureSummary'].split())}"
        for violation in violations
        for node in violation["nodes"]
    ]
