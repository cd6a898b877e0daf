"""Renders templates to self-contained pages without scripts."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

_CSS = "page.css"
_UNKNOWN = "-"
_HERE = Path(__file__).parent


def render_template(name: str, **variables: Any) -> str:
    """Renders a template with the style sheet. All text is escaped.

    Args:
      name: file name of the template.
      **variables: variables of the template and of the templates that it imports.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        coordinate=coordinate,
        percent=percent,
        number=number,
        grouped=grouped,
        duration=duration,
        short_uri=short_uri,
        words=words,
        data_uri=data_uri,
    )
    # Only the project's style sheet is exempt from escaping.
    css = Markup((_HERE / _CSS).read_text(encoding="utf-8"))  # noqa: S704
    environment.globals |= variables | {"css": css}
    return environment.get_template(name).render()


def data_uri(path: Path) -> str:
    """Encodes a PNG file as a data URI, to embed it in the page."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def short_uri(uri: str) -> str:
    """Shortens a path or URI to its end, which identifies an artifact in a pipeline root."""
    parts = [part for part in re.split(r"[/\\]", uri) if part]
    return uri if len(parts) <= 3 else "…/" + "/".join(parts[-3:])  # noqa: PLR2004


def words(name: str) -> str:
    """Formats "val_top_2_accuracy" as "validation top 2 accuracy"."""
    return re.sub("^val_", "validation ", name).replace("_", " ")


def coordinate(value: float) -> str:
    """Rounds a length or a position in a chart."""
    return f"{value:.1f}"


def grouped(value: float | None) -> str:
    """Formats a number with thousands separators: "10,000"."""
    return _UNKNOWN if value is None else f"{value:,}"


def percent(value: float | None, digits: int = 2) -> str:
    """Formats a fraction as "99.38%"."""
    return _UNKNOWN if value is None else f"{value * 100:.{digits}f}%"


def number(value: float | None, digits: int = 4) -> str:
    """Rounds to significant digits."""
    return _UNKNOWN if value is None else f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Formats seconds as "1.5 s", "11 min 46 s" or "2 h 5 min"."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
