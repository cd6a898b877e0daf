"""Submits a compiled pipeline, follows its run, and says how it ended."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from types import FrameType
from typing import Any, TypeVar

from mnist_kubeflow.client.api import Api, Run, Task
from mnist_kubeflow.client.compiled import CompiledPipeline
from mnist_kubeflow.client.rest import ApiError
from mnist_kubeflow.client.run_outcome import FINAL_STATES, REJECTIONS, Outcome, decide
from pipeline.exit_status import ExitStatus

_PATIENCE = 300.0
# The run's state may be written a moment before its tasks'.
_SETTLING_READS = 5
_WORDS = {"SUCCEEDED": "done", "SKIPPED": "skipped", "CANCELED": "canceled"}
_DRIVER = "-driver"

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Submission:
    """What to run, and under which names.

    Attributes:
      cron: creates a recurring run instead of starting one now.
    """

    pipeline: CompiledPipeline
    parameters: dict[str, Any]
    experiment: str
    run_name: str
    pipeline_root: str | None = None
    service_account: str | None = None
    cron: str | None = None


def upload(api: Api, submission: Submission, say: Say) -> dict[str, Any]:
    """Uploads the pipeline, and creates the experiment.

    Returns:
      The fields that a run and a recurring run share, as the API server takes them.

    Raises:
      ApiError: the API server refused, or can't be reached.
    """
    version = api.upload(submission.pipeline)
    experiment_id = api.experiment(submission.experiment)
    say(f"Pipeline: {submission.pipeline.name}, version {submission.pipeline.version}")
    root, account = submission.pipeline_root, submission.service_account
    return {
        "display_name": submission.run_name,
        "experiment_id": experiment_id,
        "pipeline_version_reference": version,
        "runtime_config": {
            "parameters": submission.parameters,
            **({"pipeline_root": root} if root else {}),
        },
        **({"service_account": account} if account else {}),
    }


def follow(api: Api, run_id: str, tasks: Iterable[str], say: Say, interval: float) -> Outcome:
    """Waits for the end of a run, and reports each task that finishes.

    Args:
      api: the API server.
      run_id: the run's id.
      tasks: names of the pipeline's tasks; Argo has many more nodes.
      say: receives each line.
      interval: seconds between two requests.

    Raises:
      ApiError: the API server refused, or could not be reached for five minutes.
    """
    progress = _Progress(frozenset(tasks), say)
    run = _look(api, run_id, progress, interval)
    while run.state not in FINAL_STATES:
        time.sleep(interval)
        run = _look(api, run_id, progress, interval)
    for _ in range(_SETTLING_READS):
        if progress.settled(run):
            break
        time.sleep(interval)
        run = _look(api, run_id, progress, interval)
    states = progress.states(run)
    words: dict[str, str] = {}
    for task in REJECTIONS:
        if states.get(task) == "FAILED":
            words[task] = _words(api, run_id, task, say, interval)
    return decide(run.state, states, words)


def _words(api: Api, run_id: str, task: str, say: Say, interval: float) -> str:
    """Argo's message about each pod of a task, and the pod's log, as far as they can be read."""
    said = []
    with suppress(ApiError, ValueError):
        for pod, message in _patiently(partial(api.pods, run_id, task), say, interval):
            said.append(message)
            with suppress(ApiError):
                said.append(_patiently(partial(api.log, run_id, pod), say, interval))
    return "\n".join(filter(None, said))


def _look(api: Api, run_id: str, progress: _Progress, interval: float) -> Run:
    run = _patiently(partial(api.get_run, run_id), progress.say, interval)
    progress.show(run)
    return run


def _patiently(ask: Callable[[], T], say: Say, interval: float) -> T:
    """Repeats a request for up to five minutes, as long as its failures are transient."""
    asked = time.monotonic()
    while True:
        try:
            return ask()
        except ApiError as error:
            if not error.transient or time.monotonic() - asked > _PATIENCE:
                raise
            say(f"WARNING: {error}; trying again")
        time.sleep(interval)


@dataclass
class _Progress:
    """Reports each finished task once."""

    tasks: frozenset[str]
    say: Say
    _said: set[str] = field(default_factory=set)

    def show(self, run: Run) -> None:
        """Reports the tasks that finished since the last call, in the order in which they did."""
        finished = [
            task for task in self._tasks_of(run) if task.state in FINAL_STATES - {"CANCELED"}
        ]
        for task in sorted(finished, key=lambda task: task.end_time):
            name = task.display_name
            # A driver that did its work is no news.
            if name in self._said or (name.endswith(_DRIVER) and task.state != "FAILED"):
                continue
            self._said.add(name)
            seconds = max(0.0, (task.end_time - task.start_time).total_seconds())
            word = _WORDS.get(task.state, task.state)
            now = datetime.now(timezone.utc).strftime("%H:%M:%S")
            self.say(f"{now}  {name:<18} {word:<9}{seconds:7.0f} s")

    def states(self, run: Run) -> dict[str, str]:
        """The states of the tasks and their drivers, by name."""
        return {task.display_name: task.state for task in self._tasks_of(run)}

    def settled(self, run: Run) -> bool:
        """Whether the tasks' states explain the run's, which is final."""
        states = self.states(run)
        if run.state == "SUCCEEDED":
            return all(states.get(task) in FINAL_STATES for task in self.tasks)
        return run.state != "FAILED" or "FAILED" in states.values()

    def _tasks_of(self, run: Run) -> list[Task]:
        names = self.tasks | {f"{task}{_DRIVER}" for task in self.tasks}
        return [task for task in run.tasks if task.display_name in names]


def submit(
    api: Api, submission: Submission, say: Say, *, wait: bool, interval: float
) -> ExitStatus:
    """Submits, waits for the end unless told not to; an interruption stops the run.

    Returns:
      The exit status that the local run would have; SUCCESS too if nothing was waited for.

    Raises:
      ApiError: the API server refused, or can't be reached; the message says what was started.
    """
    run_id, left = None, "nothing was started"
    try:
        body = upload(api, submission, say)
        if submission.cron is not None:
            left = "the recurring run may have been created, beside an older one; look in the UI"
            _schedule(api, body, submission.cron, say)
            return ExitStatus.SUCCESS
        left = "the run may have been created; look in the UI"
        with _interruption_put_off():
            run_id = api.create_run(body)
            left = f"run {run_id} continues"
            say(f"Run: {submission.run_name} ({run_id}) in experiment {submission.experiment}")
        if not wait:
            return ExitStatus.SUCCESS
        outcome = follow(api, run_id, submission.pipeline.tasks, say, interval)
    except ApiError as error:
        if run_id is None and not error.transient:
            raise
        raise ApiError(f"{error}; {left}", transient=error.transient) from error
    except KeyboardInterrupt:
        say(f"Error: interrupted; {_stop(api, run_id) if run_id else left}")
        return ExitStatus.INTERRUPTED
    prefix = "" if outcome.status is ExitStatus.SUCCESS else "Error: "
    say(f"{prefix}{outcome.reason}")
    return outcome.status


def _schedule(api: Api, body: dict[str, Any], cron: str, say: Say) -> None:
    new, replaced = api.schedule(body, cron)
    instead = f", instead of {replaced} of the same name" if replaced else ""
    say(f"Recurring run: {body['display_name']} ({new}) at {cron!r}{instead}")


def _stop(api: Api, run_id: str) -> str:
    """Asks the run to stop; returns what came of it."""
    try:
        api.terminate(run_id)
    except ApiError as error:
        return f"but run {run_id} continues: {error}"
    return f"run {run_id} was asked to stop"


@contextmanager
def _interruption_put_off() -> Iterator[None]:
    """Defers Ctrl+C to the end of the block, so that no run is created whose id is lost.

    A second Ctrl+C interrupts at once.

    Raises:
      KeyboardInterrupt: also in place of what the block raises.
    """
    interruptions: list[int] = []

    def put_off(number: int, _frame: FrameType | None) -> None:
        if interruptions:
            raise KeyboardInterrupt
        interruptions.append(number)
        # Not with `say`, which may be writing at this moment.
        sys.stderr.write("Interrupted: waiting for the run's id, to stop it; again to give up\n")

    before = signal.signal(signal.SIGINT, put_off)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interruptions:
            raise KeyboardInterrupt
