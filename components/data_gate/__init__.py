"""DataGate: stops the run when the data does not satisfy the reviewed schema."""

from components.data_gate.component import DataGate

__all__ = ["DataGate"]
