from __future__ import annotations

from typing import Any

import pytest
from support.report_inputs import Inputs


@pytest.fixture
def inputs(toy: Any) -> Inputs:
    """Forty examples, the last four classified wrongly."""
    return Inputs(toy, toy.questions(right=36, wrong=4))
