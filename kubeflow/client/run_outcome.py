"""Maps the outcome of a finished run on Kubeflow Pipelines to an exit status.

The REST API of Kubeflow Pipelines reports that a task failed, but not why: the API server never
sets a task's `error`, and the launcher turns every exit status of a container into 1. A rejection
therefore needs two pieces of evidence: the task failed, and its container's output names the error.

* 0: the run and its Pusher succeeded;
* 3: the Evaluator or the Pusher failed, and its container raised ModelRejectedError;
* 4: the ExampleGen, the DataGate or the Trainer failed, and its container raised DataRejectedError;
* 1: anything else, including an evicted Pusher and a Pusher whose output can't be read.

An unproven rejection counts as a failure. Both stop a release, and a failure gets investigated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from components.common.errors import DataRejectedError, ModelRejectedError
from pipeline import stages
from pipeline.exit_status import ExitStatus

# Tasks that can reject the data or the model, with the error, the exit status and the title.
REJECTIONS = {
    stages.EXAMPLE_GEN: (DataRejectedError, ExitStatus.DATA_REJECTED, "Data rejected"),
    stages.DATA_GATE: (DataRejectedError, ExitStatus.DATA_REJECTED, "Data rejected"),
    stages.TRAINER: (DataRejectedError, ExitStatus.DATA_REJECTED, "Data rejected"),
    stages.EVALUATOR: (ModelRejectedError, ExitStatus.MODEL_REJECTED, "Model rejected"),
    stages.PUSHER: (ModelRejectedError, ExitStatus.MODEL_REJECTED, "Model rejected"),
}
FINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})


@dataclass(frozen=True)
class Outcome:
    """The exit status and a one-line reason."""

    status: ExitStatus
    reason: str


def decide(run_state: str, task_states: Mapping[str, str], outputs: Mapping[str, str]) -> Outcome:
    """Determines the outcome by the rules in the module's docstring.

    Args:
      run_state: the run's state, one of FINAL_STATES.
      task_states: the state of each task and of its driver (`Pusher-driver`), by display name.
      outputs: messages and logs of the failed tasks' containers, by task; "" if unreadable.
    """
    if run_state == "SUCCEEDED":
        return _succeeded(task_states)
    failed = [name for name, state in task_states.items() if state == "FAILED"]
    for task in failed:
        rejection = _rejection(task, outputs.get(task, ""))
        if rejection:
            return rejection
    if run_state == "CANCELED":
        return Outcome(ExitStatus.FAILED, "the run was canceled")
    if not failed:
        return Outcome(ExitStatus.FAILED, f"the run is {run_state}, but none of its tasks failed")
    unread = [task for task in failed if task in REJECTIONS and not outputs.get(task)]
    note = f"; can't read the log of {', '.join(unread)}" if unread else ""
    return Outcome(ExitStatus.FAILED, f"{', '.join(failed)} failed{note}")


def _succeeded(task_states: Mapping[str, str]) -> Outcome:
    state = task_states.get(stages.PUSHER, "missing")
    if state == "SUCCEEDED":
        return Outcome(ExitStatus.SUCCESS, "model pushed, or already the newest release")
    return Outcome(ExitStatus.FAILED, f"the run succeeded, but its task {stages.PUSHER} is {state}")


def _rejection(task: str, output: str) -> Outcome | None:
    if task not in REJECTIONS:
        return None
    error, status, title = REJECTIONS[task]
    # The error starts a line, as in a traceback, or follows Argo's prefix. Newer versions of Argo
    # also name the container (workflow/controller/operator.go, inferFailedReason).
    argo = r"(?:(?:main: )?Error \(exit code \d+\): )?"
    pattern = rf"^{argo}(?:[\w.]+\.)?{error.__name__}: *(.*)$"
    found = re.findall(pattern, output, re.MULTILINE)
    return Outcome(status, f"{title}: {found[-1]}") if found else None
