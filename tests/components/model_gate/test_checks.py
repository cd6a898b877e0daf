from __future__ import annotations

import pytest

from components.model_gate.checks import Check, Row


def check(name: str, value: float | None, threshold: float | None, passed: bool = True) -> Check:
    return Check(
        name=name, rule="a rule", threshold=threshold, value=value, passed=passed, detail="why"
    )


@pytest.mark.parametrize(
    ("given", "row"),
    [
        (check("examples", 10000, 1000), Row("test set size", "10,000", "≥", "1,000", "why")),
        (check("all_classes", 9, 10, False), Row("class count", "9", "<", "10", "why")),
        (check("accuracy", 0.9938, 0.95), Row("accuracy", "99.38%", "≥", "95%", "why")),
        (
            check("class_recall", 0.895, 0.9, False),
            Row("lowest class recall", "89.5%", "<", "90%", "why"),
        ),
        (
            check("baseline", 0.01, -1e-9),
            Row("accuracy vs. baseline", "1%", "≥", "0%", "why"),
        ),
        (check("loss", 0.0196198, 0.25), Row("loss", "0.0196", "≤", "0.25", "why")),
        (check("loss", 1234.5, 0.25, False), Row("loss", "1,234.5", ">", "0.25", "why")),
        (
            check("baseline", 0.9938, 0.9881),
            Row("accuracy vs. baseline", "99.38%", "≥", "98.81%", "why"),
        ),
    ],
)
def test_row_shows_value_direction_and_threshold(given: Check, row: Row) -> None:
    assert given.row == row


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (check("baseline", 0.99, None), "accuracy vs. baseline: why"),
        (check("accuracy", None, 0.95, False), "accuracy: why"),
        (check("evidence", None, None, False), "evidence: why"),
        (check("of_an_old_release", 1, 1), "of an old release: why"),
    ],
)
def test_row_without_a_comparison_gives_the_reason(given: Check, text: str) -> None:
    assert str(given.row) == text
    assert given.row.failure == text


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        (check("accuracy", 0.937, 0.95, False), "accuracy 93.7% is below the 95% gate (why)"),
        (check("loss", 0.3, 0.25, False), "loss 0.3 is above the 0.25 gate (why)"),
        (check("accuracy", 0.94999, 0.95, False), "accuracy 94.999% is below the 95% gate (why)"),
    ],
)
def test_failure_names_the_gate(given: Check, failure: str) -> None:
    assert given.row.failure == failure


def test_empty_detail_adds_no_parentheses() -> None:
    assert str(Row("loss", "0.1", "≤", "0.25", "")) == "loss 0.1 ≤ 0.25"
