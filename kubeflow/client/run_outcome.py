"""What a finished run on Kubeflow Pipelines means, as an exit status.

The REST API of Kubeflow Pipelines tells a task's state and no more: the API server never fills in
a task's `error`, and its launcher turns every exit status of a container into 1. So a rejection
needs two pieces of evidence: the task failed, and its container's last words name the error.

* 3: the Pusher failed, and its container raised ModelRejectedError;
* 4: the ExampleGen or the DataGate failed, and its container raised DataRejectedError;
* 0: the run and its Pusher succeeded;
* 1: anything else, including an evicted Pusher and one whose log can't be read.

A rejection that can't be proven counts as a failure: both stop a release, and a failure gets
investigated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from components.common.errors import DataRejectedError, ModelRejectedError
from pipeline import stages
from pipeline.exit_status import ExitStatus

# The tasks that may reject, with the error that they raise, and what it means.
REJECTIONS = {
    stages.EXAMPLE_GEN: (DataRejectedError, ExitStatus.DATA_REJECTED, "data rejected"),
    stages.DATA_GATE: (DataRejectedError, ExitStatus.DATA_REJECTED, "data rejected"),
    stages.PUSHER: (ModelRejectedError, ExitStatus.MODEL_REJECTED, "model rejected"),
}
FINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})


@dataclass(frozen=True)
class Outcome:
    """The exit status, and a line that says why."""

    status: ExitStatus
    reason: str


def decide(run_state: str, task_states: Mapping[str, str], words: Mapping[str, str]) -> Outcome:
    """Decides as the module says.

    Args:
      run_state: the run's state, one of FINAL_STATES.
      task_states: the state of each task and of its driver (`Pusher-driver`), by display name.
      words: what the containers of failed tasks said, by task; nothing if that can't be read.
    """
    if run_state == "SUCCEEDED":
        return _succeeded(task_states)
    failed = [name for name, state in task_states.items() if state == "FAILED"]
    for task in failed:
        rejection = _rejection(task, words.get(task, ""))
        if rejection:
            return rejection
    if run_state == "CANCELED":
        return Outcome(ExitStatus.FAILED, "the run was canceled")
    if not failed:
        return Outcome(ExitStatus.FAILED, f"the run is {run_state}, and none of its tasks FAILED")
    silent = [task for task in failed if task in REJECTIONS and not words.get(task)]
    unread = f"; no log of {', '.join(silent)} can be read" if silent else ""
    return Outcome(ExitStatus.FAILED, f"{', '.join(failed)} failed{unread}")


def _succeeded(task_states: Mapping[str, str]) -> Outcome:
    state = task_states.get(stages.PUSHER, "missing")
    if state == "SUCCEEDED":
        return Outcome(ExitStatus.SUCCESS, "the model is pushed, or the newest release holds it")
    return Outcome(ExitStatus.FAILED, f"the run succeeded, but its task {stages.PUSHER} is {state}")


def _rejection(task: str, words: str) -> Outcome | None:
    if task not in REJECTIONS:
        return None
    error, status, title = REJECTIONS[task]
    # At the beginning of a line, as in a traceback, or after what Argo puts before it: newer ones
    # name the container, too (workflow/controller/operator.go, inferFailedReason).
    argo = r"(?:(?:main: )?Error \(exit code \d+\): )?"
    pattern = rf"^{argo}(?:[\w.]+\.)?{error.__name__}: *(.*)$"
    found = re.findall(pattern, words, re.MULTILINE)
    return Outcome(status, f"{title}: {found[-1]}") if found else None
