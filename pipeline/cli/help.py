"""The layout of `--help`."""

from __future__ import annotations

from collections.abc import Iterable

import click

_HYPHEN, _SPACE = "\ue000", "\ue001"
"""Private-use characters: click wraps lines at hyphens and spaces, but not at these."""


class HelpFormatter(click.HelpFormatter):
    """Wraps lines only at spaces, and keeps "[default: 3]" on one line."""

    def write_text(self, text: str) -> None:
        """Writes wrapped paragraphs."""
        super().write_text(_protected(text))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Writes terms and their definitions in two columns."""
        super().write_dl([(term, _protected(text)) for term, text in rows], col_max, col_spacing)

    def getvalue(self) -> str:
        """Returns the help."""
        return super().getvalue().replace(_HYPHEN, "-").replace(_SPACE, " ")


def _protected(text: str) -> str:
    return text.replace("-", _HYPHEN).replace("[default: ", f"[default:{_SPACE}")
