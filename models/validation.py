"""Validation that the layers share: an immutable pydantic model, and errors in one line each."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Frozen(BaseModel):
    """An immutable model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """Standard JSON, without NaN and infinity, indented for people."""
        return self.model_dump_json(indent=2) + "\n"


def problems(error: ValidationError) -> list[str]:
    """Describes each problem as "field: rule, received value"; JSON syntax errors have no field."""
    return [
        f"{'.'.join(map(str, problem['loc'])) or 'JSON'}: {problem['msg']}"
        + ("" if problem["type"] in _WITHOUT_INPUT else f", received {problem['input']!r:.100}")
        for problem in error.errors()
    ]


_WITHOUT_INPUT = ("missing", "json_invalid", "extra_forbidden")
