"""TFX's Evaluator, which reads only the files that ExampleGen wrote, and rejects broken models."""

from __future__ import annotations

import json
from typing import Any

from tfx.components.evaluator import component as stock
from tfx.components.evaluator import executor as stock_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import Artifact, artifact_utils

from components.common.artifacts import saved_model_path
from components.common.errors import ModelRejectedError
from components.common.example_files import unchanged
from components.common.roles import ByRole
from components.common.smoke_check import UnusableModelError, check_predictions, read_examples

_ALL = -1


class Executor(stock_executor.Executor):
    """Executor of Evaluator."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Evaluates the candidate, and the baseline if there is one.

        Raises:
          ModelRejectedError: if the files of a split that it reads changed, or the evaluation
            fails because the candidate can't be run.
        """
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        splits = json.loads(exec_properties["example_splits"])
        with unchanged(examples, splits, ModelRejectedError):
            try:
                super().Do(input_dict, output_dict, exec_properties)
            except Exception:  # Beam and TFMA wrap the errors of models in their own.
                candidate = artifact_utils.get_single_instance(input_dict["model"])
                _check_candidate(candidate, examples, splits)
                raise


def _check_candidate(model: Artifact, examples: Artifact, splits: list[str]) -> None:
    """Raises ModelRejectedError if the model can't classify all examples of the splits."""
    try:
        for split in splits:
            records = read_examples(artifact_utils.get_split_uri([examples], split), _ALL)
            check_predictions(saved_model_path(model), records)
    except UnusableModelError as error:
        raise ModelRejectedError(
            f"the model can't be evaluated: {error}. Nothing was pushed."
        ) from error


class Evaluator(stock.Evaluator):
    """Evaluator with the interface of TFX's."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
