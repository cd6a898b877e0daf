"""Checks a page in the browser with axe-core (https://github.com/dequelabs/axe-core, MPL-2.0).

axe-core is downloaded once from the npm registry and kept in the user's cache. Without a network,
the tests that need it are skipped.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page

WIDTHS = (320, 640, 1024, 1440)
"""In CSS pixels: a small phone, a large phone, a tablet, a desktop."""

THEMES = ("light", "dark")
"""Values of `prefers-color-scheme`."""

_VERSION = "4.14.1"
_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
_FILE = f"axe-core-{_VERSION}.tgz"
_URL = f"https://registry.npmjs.org/axe-core/-/{_FILE}"
_SECONDS = 20.0


def check_accessibility(page: Page) -> list[str]:
    """Runs all axe-core rules, best practices included, on the page in its current state.

    The page's Content-Security-Policy may forbid foreign scripts.

    Returns:
      A line for each element that violates a rule: the rule, the element's CSS selector, and the
      reason. Empty if there are none.
    """
    page.evaluate(_axe_source())
    violations = page.evaluate("axe.run().then((results) => results.violations)")
    return [
        f"{violation['id']}: {node['target']}: {' '.join(node['failureSummary'].split())}"
        for violation in violations
        for node in violation["nodes"]
    ]


@functools.cache
def _axe_source() -> str:
    with tarfile.open(fileobj=io.BytesIO(_tarball())) as tar:
        source = tar.extractfile("package/axe.min.js")
        assert source
        return source.read().decode()


def _tarball() -> bytes:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mnist-pipeline"
    file = cache / _FILE
    if file.exists() and _has_checksum(content := file.read_bytes()):
        return content
    content = _download()
    assert _has_checksum(content), f"{_URL} does not have the SHA-256 checksum {_SHA256}"
    cache.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(file)
    return content


def _has_checksum(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == _SHA256


def _download() -> bytes:
    try:
        response = requests.get(_URL, timeout=_SECONDS)
        response.raise_for_status()
    except requests.RequestException as error:
        pytest.skip(f"axe-core could not be downloaded: {error}")
    return response.content
