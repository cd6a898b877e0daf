"""Runs the stock Evaluator on the toy model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from support.tfx_executors import BEAM_ARGS
from tfx.components.evaluator import executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, standard_artifacts
from tfx.utils import proto_utils

from components.model_gate.eval_config import make_eval_config


@dataclass(frozen=True)
class Evaluation:
    """The Evaluator's inputs and output."""

    artifact: Artifact
    model: Artifact
    baselines: list[Artifact]

    @property
    def inputs(self) -> dict[str, list[Artifact]]:
        return {
            "evaluation": [self.artifact],
            "model": [self.model],
            "baseline_model": self.baselines,
        }


Evaluate = Callable[..., Evaluation]


@pytest.fixture
def evaluate(toy: Any) -> Evaluate:
    """Evaluates the toy model on its examples, with or without a baseline."""

    def run(cases: Iterable[Any], with_baseline: bool = False) -> Evaluation:
        model = toy.model(model_id=1)
        baselines = [toy.model("baseline", is_baseline=True, model_id=2)] if with_baseline else []
        evaluation = standard_artifacts.ModelEvaluation()
        evaluation.uri = str(toy.directory / "evaluation")
        context = BaseBeamExecutor.Context(
            beam_pipeline_args=list(BEAM_ARGS), tmp_dir=str(toy.directory), unique_id="1"
        )
        executor.Executor(context).Do(
            {"examples": [toy.examples(cases)], "model": [model], "baseline_model": baselines},
            {"evaluation": [evaluation], "blessing": [standard_artifacts.ModelBlessing()]},
            {
                "eval_config": proto_utils.proto_to_json(make_eval_config()),
                "example_splits": '["test"]',
            },
        )
        return Evaluation(evaluation, model, baselines)

    return run
