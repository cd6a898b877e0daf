"""The lineage of an artifact, read from ML Metadata and laid out like a version history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ml_metadata
from ml_metadata.proto import metadata_store_pb2

from components.report.facts import Lineage, LineageEdge, LineageRow
from components.report.rendering import short_uri
from pipeline.runs.metadata import component_id, local_time
from pipeline.runs.summary import show_time

_Event = metadata_store_pb2.Event
_INPUTS = (_Event.INPUT, _Event.DECLARED_INPUT)
_OUTPUTS = (_Event.OUTPUT, _Event.DECLARED_OUTPUT)
_BASELINE = "baseline_model"


@dataclass(frozen=True)
class Node:
    """An artifact or an execution.

    Attributes:
      sources: keys of the node's inputs.
      order: sort key, greater than that of every source.
    """

    key: str
    title: str
    detail: str
    kind: str
    sources: tuple[str, ...]
    order: tuple[int, int, int]


def read_lineage(store: ml_metadata.MetadataStore, artifact_id: int) -> Lineage:
    """Reads an artifact's lineage back to the data. The lineage of a baseline is omitted.

    Cached artifacts are attributed to the execution that produced them.
    """
    return lay_out(_Reader(store).read(artifact_id))


class _Reader:
    """Follows individual events, because `get_lineage_subgraph` no longer works.

    It needs a `filter_query`, which fails in ML Metadata 1.21 with "ZetaSQL dependency removed".
    """

    def __init__(self, store: ml_metadata.MetadataStore) -> None:
        self.store = store
        self.nodes: dict[str, Node] = {}

    def read(self, artifact_id: int) -> list[Node]:
        self._add_artifact(artifact_id, "", None)
        return list(self.nodes.values())

    def _add_artifact(self, artifact_id: int, role: str, consumer: int | None) -> str:
        """Adds an artifact and its lineage, without duplicates, and returns its key."""
        key = f"artifact {artifact_id}"
        producer = None if role == _BASELINE else self._producer(artifact_id)
        if key in self.nodes:
            return key
        (artifact,) = self.store.get_artifacts_by_id([artifact_id])
        # An artifact without a producer is placed directly below its consumer.
        order = (producer, 1, artifact_id) if producer else (consumer or 0, -1, artifact_id)
        name = "baseline" if role == _BASELINE else _words(artifact.type)
        sources = (f"execution {producer}",) if producer else ()
        detail = short_uri(artifact.uri)
        self.nodes[key] = Node(key, f"{name} {artifact_id}", detail, "artifact", sources, order)
        if producer:
            self._add_execution(producer)
        return key

    def _producer(self, artifact_id: int) -> int | None:
        events = self.store.get_events_by_artifact_ids([artifact_id])
        return min((e.execution_id for e in events if e.type in _OUTPUTS), default=None)

    def _add_execution(self, execution_id: int) -> None:
        key = f"execution {execution_id}"
        if key in self.nodes:
            return
        (execution,) = self.store.get_executions_by_id([execution_id])
        events = self.store.get_events_by_execution_ids([execution_id])
        inputs = {e.artifact_id: e.path.steps[0].key for e in events if e.type in _INPUTS}
        sources = tuple(
            self._add_artifact(artifact_id, role, execution_id)
            for artifact_id, role in sorted(inputs.items(), reverse=True)
        )
        began = show_time(local_time(execution.create_time_since_epoch))
        name = component_id(self.store, execution_id)
        self.nodes[key] = Node(key, name, began, "stage", sources, (execution_id, 0, 0))


def lay_out(nodes: Sequence[Node]) -> Lineage:
    """Places each node in a row above its sources, and its edges in few, short lanes.

    As in a version history, a lane leads down to one node, and all edges to that node share the
    lane. The node itself is also in this lane.
    """
    ordered = sorted(nodes, key=lambda node: node.order, reverse=True)
    rows = {node.key: row for row, node in enumerate(ordered)}
    by_key = {node.key: node for node in ordered}
    lanes: list[str | None] = []
    lane_of: dict[str, int] = {}
    edges: list[tuple[str, str]] = []
    for node in ordered:
        lane_of[node.key] = lane = _lane_to(node.key, lanes, 0)
        lanes[lane] = None
        for source in sorted(node.sources, key=lambda key: rows[key]):
            lanes[_lane_to(source, lanes, lane)] = source
            edges.append((node.key, source))
    return Lineage(
        rows=tuple(_row(node, by_key, lane_of[node.key]) for node in ordered),
        edges=tuple(
            LineageEdge(rows[top], rows[bottom], lane_of[top], lane_of[bottom])
            for top, bottom in edges
        ),
    )


def _lane_to(key: str, lanes: list[str | None], preferred: int) -> int:
    """Returns the lane that already leads to a node, else a free lane, else a new lane."""
    if key in lanes:
        return lanes.index(key)
    if preferred < len(lanes) and lanes[preferred] is None:
        return preferred
    if None in lanes:
        return lanes.index(None)
    lanes.append(None)
    return len(lanes) - 1


def _row(node: Node, by_key: Mapping[str, Node], lane: int) -> LineageRow:
    if node.kind == "artifact":
        return LineageRow(node.title, node.detail, node.kind, lane)
    # The sources may be many rows below, so the row also names them.
    sources = ", ".join(by_key[source].title for source in node.sources)
    title = f"{node.title}, {node.detail}"
    return LineageRow(title, f"from {sources}" if sources else "", node.kind, lane)


def _words(type_name: str) -> str:
    """Converts "TransformGraph" to "transform graph"."""
    name = type_name.rsplit(".", maxsplit=1)[-1]
    parts = (f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return "".join(parts).strip()
