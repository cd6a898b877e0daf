"""The behavior of a model without problems, as the model gate records it."""

from __future__ import annotations

from typing import Any

from components.model_gate.behavior import RULES, Behavior


def good_behavior(problems: dict[str, tuple[str, ...]] | None = None, **changes: Any) -> Behavior:
    """Returns the behavior of a model that passes all rules; arguments override it.

    Args:
      problems: by rule; other rules have none.
      **changes: other fields of Behavior.
    """
    fields: dict[str, Any] = {
        "size_bytes": 4_000_000,
        "calibration_error": 0.0029,
        "expected_errors": 1e6,
        "fingerprint": "f" * 64,
    }
    every = {rule: (problems or {}).get(rule, ()) for rule in RULES}
    return Behavior(problems=every, **{**fields, **changes})
