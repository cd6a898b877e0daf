"""Shared validation: an immutable pydantic base model, and one-line error messages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Frozen(BaseModel):
    """An immutable model that rejects unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """Serializes to standard JSON (no NaN or infinity), indented for readability."""
        return self.model_dump_json(indent=2) + "\n"


def problems(error: ValidationError) -> list[str]:
    """Formats each problem as "field: rule, received value". Syntax errors have the field JSON."""
    return [
        f"{'.'.join(map(str, problem['loc'])) or 'JSON'}: {problem['msg']}"
        + ("" if problem["type"] in _WITHOUT_INPUT else f", received {problem['input']!r:.100}")
        for problem in error.errors()
    ]


_WITHOUT_INPUT = ("missing", "json_invalid", "extra_forbidden")
