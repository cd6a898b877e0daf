"""TFX's Trainer, which trains only on the files that ExampleGen wrote.

The data gate validates the examples, so records that are replaced after it must not be read.
"""

from __future__ import annotations

from typing import Any

from tfx.components.trainer import component as stock
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import executor_spec
from tfx.proto import trainer_pb2
from tfx.types import artifact_utils
from tfx.utils import proto_utils

from components.common.errors import DataRejectedError
from components.common.example_files import unchanged
from components.common.roles import ByRole


class Executor(GenericExecutor):
    """Executor of Trainer."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Trains a model.

        Raises:
          DataRejectedError: if the files of a split that it reads changed.
        """
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        with unchanged(examples, _splits(exec_properties), DataRejectedError):
            super().Do(input_dict, output_dict, exec_properties)


def _splits(exec_properties: dict[str, Any]) -> list[str]:
    train, evaluation = trainer_pb2.TrainArgs(), trainer_pb2.EvalArgs()
    proto_utils.json_to_proto(exec_properties["train_args"], train)
    proto_utils.json_to_proto(exec_properties["eval_args"], evaluation)
    return [*train.splits, *evaluation.splits]


class Trainer(stock.Trainer):
    """Trainer with the interface of TFX's."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
