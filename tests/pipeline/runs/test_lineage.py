"""Lineage, read from a real ML Metadata store, and its lanes."""

from __future__ import annotations

from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.report.facts import Lineage, LineageEdge
from pipeline.runs.lineage import Node, lay_out, read_lineage


def titles(lineage: Lineage) -> list[str]:
    """Titles of the rows, without the times of stages."""
    return [row.title.split(",")[0] for row in lineage.rows]


def links(lineage: Lineage) -> set[tuple[str, str]]:
    names = titles(lineage)
    return {(names[edge.top], names[edge.bottom]) for edge in lineage.edges}


def test_lineage_leads_from_the_push_to_the_data(runs: Any) -> None:
    ids = runs.whole_run("first")
    lineage = read_lineage(runs.store, ids["pushed_model"])
    pushed, blessing, model, examples = (
        f"{name} {ids[key]}"
        for name, key in [
            ("pushed model", "pushed_model"),
            ("model blessing", "blessing"),
            ("model", "model"),
            ("examples", "examples"),
        ]
    )
    assert titles(lineage) == [
        pushed,
        "Pusher",
        blessing,
        "ModelGate",
        model,
        "Trainer",
        examples,
        "ImageExampleGen",
    ]
    assert links(lineage) == {
        (pushed, "Pusher"),
        ("Pusher", blessing),
        ("Pusher", model),
        ("Pusher", examples),
        (blessing, "ModelGate"),
        ("ModelGate", model),
        (model, "Trainer"),
        ("Trainer", examples),
        (examples, "ImageExampleGen"),
    }
    assert lineage.rows[1].detail == f"from {blessing}, {model}, {examples}"
    assert lineage.rows[0].detail == f"…/root/PushedModel/{ids['pushed_model']}"


def test_cached_artifact_comes_from_the_execution_that_produced_it(runs: Any) -> None:
    ids = runs.whole_run("first")
    runs.start("second")
    cached = {"examples": ids["examples"]}
    runs.execution("Later", cached, {"model": ids["model"]}, state=mlmd.Execution.CACHED)
    lineage = read_lineage(runs.store, ids["model"])
    assert titles(lineage)[1::2] == ["Trainer", "ImageExampleGen"]


def test_baseline_is_named_and_not_followed(runs: Any) -> None:
    earlier = runs.whole_run("first")
    runs.start("second")
    model = runs.artifact("Model")
    runs.execution("Trainer", {}, {"model": model})
    evaluation = runs.artifact("ModelEvaluation")
    inputs = {"model": model, "baseline_model": earlier["model"]}
    runs.execution("Evaluator", inputs, {"evaluation": evaluation})
    lineage = read_lineage(runs.store, evaluation)
    assert titles(lineage) == [
        f"model evaluation {evaluation}",
        "Evaluator",
        f"baseline {earlier['model']}",
        f"model {model}",
        "Trainer",
    ]


def node(key: str, order: int, *sources: str) -> Node:
    return Node(key, key, "", "artifact", sources, (order, 0, 0))


def test_chain_needs_one_lane() -> None:
    lineage = lay_out([node("a", 3, "b"), node("b", 2, "c"), node("c", 1)])
    assert lineage.lanes == 1
    assert lineage.edges == (LineageEdge(0, 1, 0, 0), LineageEdge(1, 2, 0, 0))


def test_order_of_the_nodes_given_does_not_matter() -> None:
    nodes = [node("a", 3, "b", "c"), node("b", 2, "c"), node("c", 1)]
    assert lay_out(nodes) == lay_out(nodes[::-1])


def test_line_that_passes_a_node_has_its_own_lane() -> None:
    lineage = lay_out([node("a", 3, "b", "c"), node("b", 2), node("c", 1)])
    assert [row.lane for row in lineage.rows] == [0, 0, 1]
    assert LineageEdge(0, 2, 0, 1) in lineage.edges


def test_lines_to_the_same_node_share_a_lane() -> None:
    lineage = lay_out([node("a", 3, "b", "c"), node("b", 2, "c"), node("c", 1)])
    assert lineage.lanes == 2
    assert LineageEdge(1, 2, 0, 1) in lineage.edges


@pytest.mark.parametrize("width", [2, 5])
def test_no_line_goes_through_a_node_that_it_does_not_lead_to(width: int) -> None:
    tops = [node(f"a{i}", 100 - i, f"b{i}", f"b{(i + 1) % width}") for i in range(width)]
    bottoms = [node(f"b{i}", 50 - i) for i in range(width)]
    lineage = lay_out([*tops, *bottoms])
    for edge in lineage.edges:
        between = lineage.rows[edge.top + 1 : edge.bottom]
        assert edge.lane not in {row.lane for row in between}
        assert lineage.rows[edge.bottom].lane == edge.lane
