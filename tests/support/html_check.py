"""Parses an HTML page, for tests of its content."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"br", "img", "link", "meta", "source", "input", "hr"}
_SVG_LEAVES = {"path", "rect", "circle", "line", "polyline"}


class Page(HTMLParser):
    """A parsed page.

    Attributes:
      text: all text outside of style sheets, in order.
      tags: each opened tag with its attributes.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def having(self, tag: str) -> list[dict[str, str | None]]:
        """Returns the attributes of each tag with this name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def references(self) -> list[str]:
        """Returns all URLs in the page that a browser could load or open."""
        names = ("src", "srcset", "href", "xlink:href", "action", "data", "poster")
        found = [a[name] or "" for _, a in self.tags for name in names if name in a]
        styles = [a["style"] or "" for _, a in self.tags if "style" in a]
        return found + re.findall(r"url\(([^)]*)\)|@import", " ".join(styles + self._styles()))

    def _styles(self) -> list[str]:
        return [text for text in self._texts if "{" in text]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _SVG_LEAVES, f"HTML has no <{tag}/>"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self._texts.append(data)
