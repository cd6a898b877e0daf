"""Runs one task: `python -m mnist_kubeflow.entrypoint`, with the arguments that TFX compiles.

If the task fails, the exit status is not 0, and the launcher publishes only the logs
(launcher_v2.go, executeV2).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from components.common.loading import collection_paused
from mnist_kubeflow.entrypoint.contract import (
    Json,
    adapt_input,
    adapt_output,
    output_file,
)
from models.hardware import limit_threads

TERMINATION_LOG = Path("/dev/termination-log")
_TERMINATION_BYTES = 2048

_log = logging.getLogger(__name__)


def main() -> None:
    """Runs the task that the command line describes, on KFP or Vertex AI."""
    arguments, beam_args = _parse(sys.argv[1:])
    executor_input = json.loads(arguments.json_serialized_invocation_args)
    inputs_spec = json.loads(arguments.json_serialized_inputs_spec_args or "{}")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    limit_threads()
    try:
        _run(arguments.executor_class_path, executor_input, inputs_spec, beam_args)
    except Exception as error:
        report_failure(error, TERMINATION_LOG)
        raise


def explain(error: Exception) -> bytes:
    """Formats an error as one line that fits into a termination message (2,048 bytes of UTF-8)."""
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return line.encode()[:_TERMINATION_BYTES].decode(errors="ignore").encode()


def report_failure(error: Exception, path: Path) -> None:
    """Writes an error to the container's termination message.

    Argo copies the termination message to the step's message, which the KFP UI shows, and which
    remains available after the pod and its logs are deleted.

    Args:
      error: the error.
      path: file that Kubernetes reads the termination message from. It is not created if missing.
    """
    try:
        with path.open("r+b") as file:
            file.write(explain(error))
            file.truncate()
    except OSError:
        _log.info("Can't write the termination message to %s", path)


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parses the options of TFX's entrypoint and returns the remaining arguments, for Beam.

    See `_parse_flags` in kubeflow_v2_run_executor.py.
    """
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
    # Keeps the launcher from publishing the output of an earlier attempt in the same pod.
    result.unlink(missing_ok=True)

    with collection_paused():
        from mnist_kubeflow.entrypoint.execution import execute

    output = execute(executor_class_path, adapted, inputs_spec, beam_args)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(adapt_output(output, executor_input)), encoding="utf-8")


if __name__ == "__main__":
    main()
