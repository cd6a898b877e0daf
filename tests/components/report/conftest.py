from __future__ import annotations

from typing import Any

import pytest
from support.report_inputs import Inputs


@pytest.fixture
def inputs(toy: Any) -> Inputs:
    """Forty examples, of which the last four are misclassified."""
    return Inputs(toy, toy.cases(right=36, wrong=4))
