"""Shared validation: an immutable pydantic base model, and one-line error messages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails


class Frozen(BaseModel):
    """An immutable model that rejects unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """Serializes to standard JSON (no NaN or infinity), indented for readability."""
        return self.model_dump_json(indent=2) + "\n"


def problems(error: ValidationError) -> list[str]:
    """Describes each problem as "field: rule, received value".

    For text that is not the expected JSON, the field is "JSON". A rule about several fields has
    neither field nor value.
    """
    return [_problem(details) for details in error.errors()]


def _problem(details: ErrorDetails) -> str:
    rule = details["msg"].removeprefix("Value error, ")
    field = ".".join(map(str, details["loc"])) or "JSON"
    if not details["loc"] and details["type"] == "value_error":
        return rule
    if details["type"] in _WITHOUT_INPUT:
        return f"{field}: {rule}"
    return f"{field}: {rule}, received {details['input']!r:.100}"


_WITHOUT_INPUT = ("missing", "json_invalid", "extra_forbidden")
