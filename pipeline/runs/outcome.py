"""The outcome of a run, derived from its stages."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.runs.data_checks import read_data_checks
from pipeline.runs.metadata import Stage
from pipeline.stages import DATA_GATE, EXAMPLE_GEN, PUSHER, REPORT


def has_report(stages: Mapping[str, Stage]) -> bool:
    """Whether RunReport wrote a report."""
    return REPORT in stages and stages[REPORT].succeeded


def has_page(stages: Mapping[str, Stage]) -> bool:
    """Whether the run can have a page, about its report or its rejected data."""
    return has_report(stages) or is_data_rejected(stages)


def is_data_rejected(stages: Mapping[str, Stage]) -> bool:
    """Whether the data gate stopped the run because of anomalies."""
    if EXAMPLE_GEN not in stages or DATA_GATE not in stages or stages[DATA_GATE].succeeded:
        return False
    checks = read_data_checks(stages)
    return checks is not None and bool(checks.anomalies)


def describe_release(stages: Mapping[str, Stage]) -> str:
    """Describes the release of the run, if any."""
    pusher = stages.get(PUSHER)
    if pusher is None or not pusher.succeeded:
        return "not pushed"
    properties = pusher.outputs["pushed_model"][0].properties
    word = "already released as" if properties["up_to_date"] else "released as"
    return f"{word} version {properties['pushed_version']}"
