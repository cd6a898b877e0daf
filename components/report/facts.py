"""Facts about a finished run, read from ML Metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StageTime:
    """The duration of a stage.

    Attributes:
      name: component id.
      state: state in ML Metadata, in lower case: complete, cached, failed, canceled …
      seconds: duration.
      share: duration relative to the longest stage, from 0 to 1; 0 if the stage did not run.
    """

    name: str
    state: str
    seconds: float
    share: float


@dataclass(frozen=True)
class LineageRow:
    """A node of the lineage graph. Each row has one node.

    Attributes:
      title: name, and id or time.
      detail: additional text; may be empty.
      kind: `artifact` or `stage`.
      lane: column of the node, from 0.
    """

    title: str
    detail: str
    kind: str
    lane: int


@dataclass(frozen=True)
class LineageEdge:
    """A line from a row to a lower row, drawn in a lane."""

    top: int
    bottom: int
    start_lane: int
    lane: int


@dataclass(frozen=True)
class Lineage:
    """A graph laid out like a version history: the inputs of each node are below it."""

    rows: tuple[LineageRow, ...]
    edges: tuple[LineageEdge, ...]

    @property
    def lanes(self) -> int:
        """Number of columns."""
        return 1 + max([edge.lane for edge in self.edges] + [row.lane for row in self.rows])


@dataclass(frozen=True)
class BlessedModel:
    """A model that passed the gate.

    Attributes:
      id: artifact id in ML Metadata.
      when: time of the blessing, formatted.
      accuracy: accuracy on the test examples at that time.
      current: whether this run produced the model.
    """

    id: int
    when: str
    accuracy: float
    current: bool


@dataclass(frozen=True)
class CheckedFeature:
    """A feature of the raw examples, and its bounds in the schema.

    Attributes:
      name: name of the feature.
      type: type in the schema, such as FLOAT.
      rule: bounds in the schema, as text.
      observed: range of values in the data, as text; may be empty.
    """

    name: str
    type: str
    rule: str
    observed: str


@dataclass(frozen=True)
class ContactSheet:
    """A PNG file with a row of images, the worst first. `title` is the start of the anomaly."""

    title: str
    file: Path


@dataclass(frozen=True)
class DataChecks:
    """The comparison of the data with the schema.

    Attributes:
      features: the features, in the schema's order.
      anomalies: each as "split: subject: reason"; empty if the data satisfies the schema.
      sheets: pictures of the worst images of some anomalies.
    """

    features: tuple[CheckedFeature, ...]
    anomalies: tuple[str, ...]
    sheets: tuple[ContactSheet, ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """Facts that are known only after the run.

    Attributes:
      started: start time, formatted.
      seconds: time from the start of the first stage to the end of the last one.
      release: outcome of the push, as text.
      stages: stages, in execution order.
      history: the newest blessed models, oldest first.
      lineage: lineage of the pushed model, or else of the verdict; None if the run has neither.
      data_checks: None if the run has none.
      index: URL of the index of runs; None if the page is written elsewhere.
    """

    started: str
    seconds: float
    release: str
    stages: tuple[StageTime, ...]
    history: tuple[BlessedModel, ...]
    lineage: Lineage | None
    data_checks: DataChecks | None
    index: str | None
