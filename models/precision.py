"""The precision that training computes in."""

from __future__ import annotations

from typing import Literal

from models.hardware import supports_bfloat16
from models.recipes import Precision


def choose_precision(precision: Precision) -> Literal["bfloat16", "float32"]:
    """Replaces `auto` with the fastest precision of this machine.

    bfloat16 keeps float32's range, so the loss needs no scaling. Weights and the exported model
    stay in float32.
    """
    if precision == "auto":
        return "bfloat16" if supports_bfloat16() else "float32"
    return precision
