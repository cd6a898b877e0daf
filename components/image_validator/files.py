"""Names of the files in ImageValidator's output."""

from __future__ import annotations

import re

EVIDENCE_FILE = "evidence.json"


def sheet_name(subject: str) -> str:
    """Returns the file name of the contact sheet of an anomaly, in its split's directory."""
    return re.sub(r"\W+", "-", subject).strip("-").lower() + ".png"
