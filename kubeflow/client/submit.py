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

from mnist_kubeflow.client.api import Api, ApiError
from mnist_kubeflow.client.compiled import CompiledPipeline
from mnist_kubeflow.client.run_outcome import FINAL_STATES, REJECTIONS, Outcome, decide
from pipeline.exit_status import ExitStatus

_PATIENCE = 300.0
# The run's state may be written a moment before its tasks'.
_SETTLING_READS = 5
_WORDS = {"SUCCEEDED": "done", "SKIPPED": "skipped", "CANCELED": "cancelled"}
_DRIVER = "-driver"

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Submission:
    """What to run, and under which names.

    Attributes:
      cron: makes a recurring run of it, instead of one run now.
    """

    pipeline: CompiledPipeline
    parameters: dict[str, Any]
    experiment: str
    run_name: str
    pipeline_root: str | None = None
    service_account: str | None = None
    cron: str | None = None


def upload(api: Api, submission: Submission, say: Say) -> tuple[str, dict[str, Any]]:
    """Uploads the pipeline, and makes the experiment.

    Returns:
      The experiment's id, and what both runs and recurring runs are made of.

    Raises:
      ApiError: the API server refused, or can't be reached.
    """
    pipeline_id, version_id = api.upload(submission.pipeline)
    experiment_id = api.experiment(submission.experiment)
    say(f"Pipeline: {submission.pipeline.name}, version {submission.pipeline.version}")
    return experiment_id, {
        "params": submission.parameters,
        "pipeline_id": pipeline_id,
        "version_id": version_id,
        "pipeline_root": submission.pipeline_root,
        "service_account": submission.service_account,
    }


def follow(api: Api, run_id: str, tasks: Iterable[str], say: Say, interval: float) -> Outcome:
    """Waits for the end of a run, with a line for each task that finishes.

    Args:
      api: the API server.
      run_id: the run's id.
      tasks: names of tasks; Argo has many more nodes than these.
      say: gets each line.
      interval: seconds between two looks.

    Raises:
      ApiError: it refused, or could not be reached for five minutes.
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
    """What a task's containers said: Argo's message of each, and its log, if they can be read."""
    said = []
    with suppress(ApiError, ValueError):
        for pod, message in _patiently(partial(api.pods, run_id, task), say, interval):
            said.append(message)
            with suppress(ApiError):
                said.append(_patiently(partial(api.log, run_id, pod), say, interval))
    return "\n".join(filter(None, said))


def _look(api: Api, run_id: str, progress: _Progress, interval: float) -> Any:
    run = _patiently(partial(api.get_run, run_id), progress.say, interval)
    progress.show(run)
    return run


def _patiently(ask: Callable[[], T], say: Say, interval: float) -> T:
    """The answer, once there is one; what may pass is waited out for five minutes."""
    asked = time.monotonic()
    while True:
        try:
            return ask()
        except ApiError as error:
            if not error.passing or time.monotonic() - asked > _PATIENCE:
                raise
            say(f"WARNING: {error}; trying again")
        time.sleep(interval)


@dataclass
class _Progress:
    """Says once that a task has finished."""

    tasks: frozenset[str]
    say: Say
    _said: set[str] = field(default_factory=set)

    def show(self, run: Any) -> None:
        """Says which tasks finished since the last call, in the order in which they did."""
        finished = [
            detail for detail in self._details(run) if detail.state in FINAL_STATES - {"CANCELED"}
        ]
        for detail in sorted(finished, key=lambda detail: detail.end_time):
            name = detail.display_name
            # A driver that did its work is no news.
            if name in self._said or (name.endswith(_DRIVER) and detail.state != "FAILED"):
                continue
            self._said.add(name)
            seconds = max(0.0, (detail.end_time - detail.start_time).total_seconds())
            word = _WORDS.get(detail.state, detail.state)
            now = datetime.now(timezone.utc).strftime("%H:%M:%S")
            self.say(f"{now}  {name:<18} {word:<9}{seconds:7.0f} s")

    def states(self, run: Any) -> dict[str, str]:
        """The states of the tasks and their drivers, by name."""
        return {detail.display_name: detail.state for detail in self._details(run)}

    def settled(self, run: Any) -> bool:
        """Whether the tasks' states explain the run's, which is final."""
        states = self.states(run)
        if run.state == "SUCCEEDED":
            return all(states.get(task) in FINAL_STATES for task in self.tasks)
        return run.state != "FAILED" or "FAILED" in states.values()

    def _details(self, run: Any) -> list[Any]:
        details = (run.run_details and run.run_details.task_details) or []
        names = self.tasks | {f"{task}{_DRIVER}" for task in self.tasks}
        return [detail for detail in details if detail.display_name in names]


def submit(
    api: Api, submission: Submission, say: Say, *, wait: bool, interval: float
) -> ExitStatus:
    """Submits and, if told so, waits; an interruption stops the run, as it stops a local one.

    Returns:
      The exit status that the local run would have; SUCCESS too if nothing was waited for.

    Raises:
      ApiError: the API server refused, or can't be reached.
    """
    run_id, left = None, "nothing was started"
    try:
        experiment_id, source = upload(api, submission, say)
        name, cron = submission.run_name, submission.cron
        if cron is not None:
            left = "the recurring run may have been made, beside an older one; look in the UI"
            new, replaced = api.schedule(name, experiment_id, cron, **source)
            instead = f", instead of {replaced} of the same name" if replaced else ""
            say(f"Recurring run: {name} ({new}) at {cron!r}{instead}")
            return ExitStatus.SUCCESS
        left = "the run may have been made; look in the UI"
        with _interruption_put_off():
            run_id = api.run(name, experiment_id, **source)
            say(f"Run: {name} ({run_id}) in experiment {submission.experiment}")
        if not wait:
            return ExitStatus.SUCCESS
        outcome = follow(api, run_id, submission.pipeline.tasks, say, interval)
    except KeyboardInterrupt:
        say(f"Error: interrupted; {_stop(api, run_id) if run_id else left}")
        return ExitStatus.INTERRUPTED
    prefix = "" if outcome.status is ExitStatus.SUCCESS else "Error: "
    say(f"{prefix}{outcome.reason}")
    return outcome.status


def _stop(api: Api, run_id: str) -> str:
    """Tells the run to stop; returns what came of it."""
    try:
        api.terminate(run_id)
    except ApiError as error:
        return f"but run {run_id} goes on: {error}"
    return f"run {run_id} is told to stop"


@contextmanager
def _interruption_put_off() -> Iterator[None]:
    """Interrupts after the block, so that a run isn't made whose id is lost; at once if again.

    Raises:
      KeyboardInterrupt: also in place of what the block raises.
    """
    interruptions: list[int] = []

    def put_off(number: int, _frame: FrameType | None) -> None:
        if interruptions:
            raise KeyboardInterrupt
        interruptions.append(number)
        # Not with `say`: what the SDK prints in the meantime is swallowed.
        sys.stderr.write("Interrupted: waiting for the run's id, to stop it; again to give up\n")

    before = signal.signal(signal.SIGINT, put_off)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interruptions:
            raise KeyboardInterrupt
