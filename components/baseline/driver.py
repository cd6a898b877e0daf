"""The driver of LiveBaseline: selects the releases before TFX looks for a cached result.

The selection becomes an execution property and so a part of the cache key. A push or a rollback
that changes the selection therefore reruns the component, and any other one doesn't. Kubeflow
Pipelines runs no drivers: there, the component is not cached, and the executor makes the selection.
"""

from __future__ import annotations

from tfx.dsl.components.base import base_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from components.baseline.selection import select_releases, store_of

SELECTION = "selection"
"""Execution property with the JSON of a `components.baseline.selection.Selection`."""


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Driver of LiveBaseline. TFX's components expect the first base, its launcher the second."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Returns the selection as an execution property."""
        store = store_of(execution_info.exec_properties)
        selection = select_releases(execution_info.input_dict, store)
        output = driver_output_pb2.DriverOutput()
        output.exec_properties[SELECTION].string_value = selection.to_json()
        return output
