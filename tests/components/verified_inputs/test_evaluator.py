from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.tfx_executors import BEAM_ARGS
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, standard_artifacts
from tfx.utils import proto_utils

from components.common.errors import ModelRejectedError
from components.common.example_files import record_checksums
from components.model_gate.eval_config import make_eval_config
from components.model_gate.evaluation import read_evaluation
from components.verified_inputs.evaluator import Executor
from models.features import CLASS_NAMES


class Evaluation:
    """A toy model, a baseline and examples."""

    def __init__(self, toy: Any) -> None:
        self.directory = toy.directory
        self.examples = toy.examples(toy.cases(right=19, wrong=1))
        record_checksums(self.examples)
        self.model = toy.model(model_id=1)
        self.baseline = toy.model("baseline", is_baseline=True, model_id=2)

    def run(self) -> Artifact:
        output = standard_artifacts.ModelEvaluation()
        output.uri = str(self.directory / "evaluation")
        context = BaseBeamExecutor.Context(
            beam_pipeline_args=list(BEAM_ARGS), tmp_dir=str(self.directory), unique_id="1"
        )
        Executor(context).Do(
            {
                "examples": [self.examples],
                "model": [self.model],
                "baseline_model": [self.baseline],
            },
            {"evaluation": [output], "blessing": [standard_artifacts.ModelBlessing()]},
            {
                "eval_config": proto_utils.proto_to_json(make_eval_config()),
                "example_splits": '["test"]',
            },
        )
        return output


@pytest.fixture
def evaluation(toy: Any) -> Evaluation:
    return Evaluation(toy)


def _damage(model: Artifact) -> None:
    (Path(model.uri) / "Format-Serving" / "variables" / "variables.index").write_bytes(b"damaged")


def test_unchanged_examples_are_evaluated(evaluation: Evaluation) -> None:
    candidate, baseline = read_evaluation(evaluation.run().uri, True, CLASS_NAMES)
    assert candidate.confusion.correct == 19
    assert baseline is not None
    assert baseline.confusion.correct == 20


def test_replaced_test_records_reject_the_model(evaluation: Evaluation) -> None:
    (records,) = Path(evaluation.examples.uri, "Split-test").iterdir()
    records.write_bytes(records.read_bytes() + b"\0")
    with pytest.raises(ModelRejectedError, match=r"^the files of split test differ .* Delete "):
        evaluation.run()
    assert not (evaluation.directory / "evaluation").exists()


def test_a_candidate_that_cannot_be_run_is_rejected(evaluation: Evaluation) -> None:
    _damage(evaluation.model)
    with pytest.raises(
        ModelRejectedError,
        match=r"^the model can't be evaluated: it can't be loaded \(.*\)\. Nothing was pushed\.$",
    ):
        evaluation.run()


def test_a_broken_baseline_is_not_the_fault_of_the_candidate(evaluation: Evaluation) -> None:
    _damage(evaluation.baseline)
    with pytest.raises(Exception, match="too short to be an sstable") as raised:
        evaluation.run()
    assert not isinstance(raised.value, ModelRejectedError)
