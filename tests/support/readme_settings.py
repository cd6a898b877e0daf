"""The table of settings in docs/settings.md, generated from `Settings`; `make golden` writes it."""

from __future__ import annotations

from pathlib import Path

from models.recipes import DEFAULT_RECIPE, RECIPES
from pipeline.cli.options import default_text
from pipeline.settings import setting_fields

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
HEADER = "| option | default | meaning |\n| --- | --- | --- |\n"


def settings_table() -> str:
    """Returns one row for each setting."""
    rows = (
        (
            f"`--{name.replace('_', '-')}`",
            _code(field.default) + _other_recipes(name),
            _escaped(field.description),
        )
        for name, field in setting_fields().items()
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _other_recipes(name: str) -> str:
    """Returns the defaults of the recipes that differ from the default recipe."""
    default = getattr(RECIPES[DEFAULT_RECIPE], name, None)
    values = {recipe: getattr(values, name, None) for recipe, values in RECIPES.items()}
    return "".join(
        f"; {recipe}: {_code(value)}" for recipe, value in values.items() if value != default
    )


def rewrite(page: Path = PAGE) -> None:
    """Replaces the rows below HEADER."""
    before, after = page.read_text().split(HEADER)
    rest = after[after.index("\n\n") + 1 :]
    page.write_text(f"{before}{HEADER}{settings_table()}{rest}")


def _code(default: object) -> str:
    text = default_text(default)
    return f"`{text}`" if text else ""


def _escaped(text: str | None) -> str:
    """Escapes angle brackets, because Markdown would interpret <serving dir> as HTML."""
    return (text or "").replace("<", "&lt;").replace("|", "&#124;")
