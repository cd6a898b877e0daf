"""Runs one task: `python -m mnist_kubeflow.entrypoint`, with the arguments that TFX compiles.

Exits with a status other than 0 if the task failed: the launcher then publishes the logs and
nothing else (launcher_v2.go, executeV2).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mnist_kubeflow.entrypoint.contract import (
    Json,
    adapt_input,
    adapt_output,
    output_file,
)

TERMINATION_LOG = Path("/dev/termination-log")
_TERMINATION_BYTES = 2048

_log = logging.getLogger(__name__)


def main() -> None:
    """Runs the task, on KFP or on Vertex AI."""
    arguments, beam_args = _parse(sys.argv[1:])
    executor_input = json.loads(arguments.json_serialized_invocation_args)
    inputs_spec = json.loads(arguments.json_serialized_inputs_spec_args or "{}")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    try:
        _run(arguments.executor_class_path, executor_input, inputs_spec, beam_args)
    except Exception as error:
        report_failure(error, TERMINATION_LOG)
        raise


def explain(error: Exception) -> bytes:
    """One line that says what failed, short enough for a termination message."""
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return line.encode()[:_TERMINATION_BYTES].decode(errors="ignore").encode()


def report_failure(error: Exception, path: Path) -> None:
    """Writes what failed where Kubernetes takes a container's termination message from.

    Argo copies it to the step's message, which the KFP UI shows and which stays when the pod and
    its logs are gone. Does nothing where there is no such file.
    """
    try:
        with path.open("r+b") as file:
            file.write(explain(error))
            file.truncate()
    except OSError:
        _log.info("No termination message: %s can't be written", path)


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of kubeflow_v2_run_executor.py's `_parse_flags`; the rest is for Beam."""
    parser = argparse.ArgumentParser(prog="mnist_kubeflow.entrypoint", allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args")
    return parser.parse_known_args(argv)


def _run(
    executor_class_path: str, executor_input: Json, inputs_spec: Json, beam_args: list[str]
) -> None:
    adapted = adapt_input(executor_input, inputs_spec)
    result = Path(output_file(executor_input))
    # A retry in the same pod would otherwise hand over what the failed attempt left.
    result.unlink(missing_ok=True)

    from mnist_kubeflow.entrypoint.execution import execute

    output = execute(executor_class_path, adapted, inputs_spec, beam_args)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(adapt_output(output, executor_input)), encoding="utf-8")


if __name__ == "__main__":
    main()
