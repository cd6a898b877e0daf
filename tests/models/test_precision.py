"""The choice of the training's precision."""

from __future__ import annotations

import pytest

from models import precision
from models.precision import choose_precision


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_auto_depends_on_the_machine_and_other_precisions_do_not(
    monkeypatch: pytest.MonkeyPatch, supported: bool, chosen: str
) -> None:
    monkeypatch.setattr(precision, "supports_bfloat16", lambda: supported)
    assert choose_precision("auto") == chosen
    assert choose_precision("bfloat16") == "bfloat16"
    assert choose_precision("float32") == "float32"
