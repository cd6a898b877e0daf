"""The executor of ModelGate: runs the model and writes the blessing and the verdict."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from components.common.artifacts import saved_model_path
from components.common.checksums import directory_sha256, model_sha256
from components.common.errors import describe_os_error
from components.common.example_files import is_unchanged
from components.common.properties import BEST_RELEASE
from components.common.roles import ByRole
from components.example_gen.splits import TEST_SPLIT
from components.model_gate import measuring
from components.model_gate.behavior import Behavior
from components.model_gate.best_release import BestRelease
from components.model_gate.evaluation import EvidenceError, read_evaluation
from components.model_gate.probe import Findings, ProbeError, Request, Run, read_run, run_probe
from components.model_gate.rules import VERDICT_FILE, Verdict, decide, reject
from components.model_gate.saved_model import size_in_bytes
from components.model_gate.thresholds import Thresholds
from models.features import CLASS_NAMES

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of ModelGate."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Decides whether to bless the model.

        Args:
          input_dict: evaluation, examples, model, and optionally baseline_model, which may be
            empty.
          output_dict: blessing.
          exec_properties: thresholds, as JSON.
        """
        thresholds = Thresholds.from_json(exec_properties["thresholds"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        baselines = input_dict.get("baseline_model") or []
        with tempfile.TemporaryDirectory() as directory:
            verdict = _decide(input_dict, model, baselines, thresholds, Path(directory))
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        _describe(blessing, model, baselines)
        _write(blessing, verdict)
        _log.info("Blessed: %s. %s", verdict.blessed, verdict.reason)


def _decide(
    inputs: ByRole,
    model: Artifact,
    baselines: list[Artifact],
    thresholds: Thresholds,
    directory: Path,
) -> Verdict:
    """Copies the model first, so that the checksum belongs to exactly the files that it checks."""
    copy = directory / "models" / "candidate"
    try:
        # Links stay links, and the model is rejected because of them.
        shutil.copytree(saved_model_path(model), copy, symlinks=True)
    except (OSError, shutil.Error) as error:
        return reject(f"the model can't be copied: {error}")
    checksum = model_sha256(directory_sha256(copy))
    examples = artifact_utils.get_single_instance(inputs["examples"])
    try:
        candidate, baseline = read_evaluation(
            artifact_utils.get_single_uri(inputs["evaluation"]), bool(baselines), CLASS_NAMES
        )
        findings, run = _probe(copy, baselines, examples, directory / "output")
    except EvidenceError as error:
        return reject(str(error), checksum)
    except OSError as error:
        return reject(f"the test images can't be read: {describe_os_error(error)}", checksum)
    except ProbeError as error:
        return reject(f"the model can't be run in a new process: {error}", checksum)
    behavior = Behavior(
        size_bytes=size_in_bytes(copy),
        latencies=findings.latencies,
        fingerprint=examples.get_string_custom_property("fingerprint"),
        best_release=_best_release(baselines),
        **measuring.measure(findings, run, candidate, baseline, _label_counts(examples)),
    )
    if is_unchanged(examples, TEST_SPLIT) is False:
        changed = ("the files differ from those that ExampleGen wrote",)
        behavior = behavior.with_problems("test_data", changed)
    return decide(candidate, behavior, thresholds, checksum)


def _probe(
    model: Path, baselines: list[Artifact], examples: Artifact, directory: Path
) -> tuple[Findings, Run | None]:
    split = Path(artifact_utils.get_split_uri([examples], TEST_SPLIT))
    request = Request(
        model=str(model),
        baseline=str(saved_model_path(baselines[0]).absolute()) if baselines else None,
        test_files=tuple(str(path.absolute()) for path in sorted(split.iterdir())),
    )
    directory.mkdir()
    return run_probe(request, directory), read_run(directory)


def _label_counts(examples: Artifact) -> dict[int, int]:
    """Returns ExampleGen's counts of the test images, by label; empty if it recorded none."""
    recorded = json.loads(examples.get_string_custom_property("label_counts") or "{}")
    counts = recorded.get(TEST_SPLIT, {}).items()
    return {int(label): count for label, count in counts if count}


def _best_release(baselines: list[Artifact]) -> BestRelease | None:
    """Reads the best retained release, which the baseline's component records."""
    recorded = [baseline.get_string_custom_property(BEST_RELEASE) for baseline in baselines]
    return BestRelease.model_validate_json(recorded[0]) if any(recorded) else None


def _describe(blessing: Artifact, model: Artifact, baselines: list[Artifact]) -> None:
    """Sets the stock Evaluator's custom properties, except the outcome."""
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    for baseline in baselines:
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri
        )
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id
        )


def _write(blessing: Artifact, verdict: Verdict) -> None:
    directory = Path(blessing.uri)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / VERDICT_FILE).write_text(verdict.to_json(), encoding="utf-8")
    marker = constants.BLESSED_FILE_NAME if verdict.blessed else constants.NOT_BLESSED_FILE_NAME
    (directory / marker).touch()
    value = constants.BLESSED_VALUE if verdict.blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
