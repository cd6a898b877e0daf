"""The model gate on real models: the stock Evaluator, then ModelGate, for each of CASES."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gates.model_cases import CASES, Case, make_signature
from support.gate_models import GateModel, Workbench, marked_examples
from tfx.types import Artifact
from tfx.utils import path_utils

from components.model_gate.rules import Verdict

pytestmark = pytest.mark.slow


@dataclass
class Gate:
    """Runs cases, each in directories of its own, and shares the Evaluator's results."""

    bench: Workbench
    _numbers: Any = field(default_factory=itertools.count)
    _evaluations: dict[Any, Artifact] = field(default_factory=dict)

    def decide(self, case: Case) -> Verdict:
        """Runs the Evaluator and ModelGate."""
        name = str(next(self._numbers))
        bench = self.bench
        examples = bench.examples(f"{name}-examples", case.test(**case.marks))
        models = [self._candidate(name, case)]
        if case.baseline_wrong is not None:
            shifts = dict.fromkeys(case.baseline_wrong, 1)
            models.append(bench.save(f"{name}-baseline", bench.model(shifts=shifts)))
        evaluation = self._evaluate(name, case, examples, models)
        if case.damage:
            case.damage(Path(path_utils.serving_model_dir(models[0].uri)))
        if case.tampers:
            case.tampers(bench, Path(examples.uri))
        given = (examples, evaluation, *models)
        return bench.decide(f"{name}-blessing", *given, **case.thresholds)[1]

    def _candidate(self, name: str, case: Case) -> Artifact:
        model = self.bench.model(
            _kind(case), shifts=dict.fromkeys(case.wrong, 1), sharpness=case.sharpness
        )
        signatures = {
            signature: make_signature(signature, model, function)
            for signature, function in case.signatures.items()
        }
        return self.bench.save(f"{name}-model", model, without=case.without, **signatures)

    def _evaluate(
        self, name: str, case: Case, examples: Artifact, models: list[Artifact]
    ) -> Artifact:
        """Evaluates the models, or an equal one if one was evaluated before."""
        honest = not case.evaluates_candidate
        ordinary = not case.marks and case.test is marked_examples and len(models) == 1
        unchanged = case.answer is None and "serving_default" not in case.signatures
        shared = ordinary and (honest or (unchanged and case.sharpness == 1))
        if shared and "ordinary" in self._evaluations:
            return self._evaluations["ordinary"]
        if honest:
            models = [self.bench.save(f"{name}-honest", self.bench.model()), *models[1:]]
        evaluation = self.bench.evaluate(f"{name}-evaluation", examples, *models)
        if shared:
            self._evaluations["ordinary"] = evaluation
        return evaluation


def _kind(case: Case) -> type[GateModel]:
    if case.answer is None:
        return GateModel
    return type("Changed", (GateModel,), {"answer": staticmethod(case.answer)})


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(Workbench(tmp_path_factory.mktemp("gate")))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gate_decides_correctly(gate: Gate, case: Case) -> None:
    verdict = gate.decide(case)
    failed = {check.name for check in verdict.checks if not check.passed}
    assert verdict.blessed is not bool(case.fails), verdict.reason
    assert failed >= set(case.fails)


def test_each_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
