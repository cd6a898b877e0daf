"""Submits a compiled pipeline, follows its run, and says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from mnist_kubeflow.api import Api, ApiError
from mnist_kubeflow.compiled import CompiledPipeline
from mnist_kubeflow.run_outcome import FINAL_STATES, REJECTIONS, Outcome, decide
from pipeline.exit_status import ExitStatus

_PATIENCE = 300.0
# The run's state may be written a moment before its tasks'.
_SETTLING_READS = 5
_WORDS = {"SUCCEEDED": "done", "SKIPPED": "skipped", "CANCELED": "cancelled"}
_DRIVER = "-driver"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Submission:
    """What to run, and under which names.

    Attributes:
      cron: makes a recurring run of it, instead of one run now.
      caching: None leaves it to what was compiled.
    """

    pipeline: CompiledPipeline
    parameters: dict[str, Any]
    experiment: str
    run_name: str
    pipeline_root: str | None = None
    service_account: str | None = None
    caching: bool | None = None
    cron: str | None = None


def start(api: Api, submission: Submission, say: Say) -> str | None:
    """Uploads the pipeline and starts its run, or its recurring run.

    Returns:
      The run's id; None for a recurring run.

    Raises:
      ApiError: the API server refused, or can't be reached.
    """
    pipeline_id, version_id = api.upload(submission.pipeline)
    experiment_id = api.experiment(submission.experiment)
    source = {
        "params": submission.parameters,
        "pipeline_id": pipeline_id,
        "version_id": version_id,
        "pipeline_root": submission.pipeline_root,
        "service_account": submission.service_account,
        "enable_caching": submission.caching,
    }
    say(f"Pipeline: {submission.pipeline.name}, version {submission.pipeline.version}")
    if submission.cron is None:
        run_id = api.run(submission.run_name, experiment_id, **source)
        say(f"Run: {submission.run_name} ({run_id}) in experiment {submission.experiment}")
        return run_id
    new, replaced = api.schedule(submission.run_name, experiment_id, submission.cron, **source)
    instead = f", instead of {replaced} of the same name" if replaced else ""
    say(f"Recurring run: {submission.run_name} ({new}) at {submission.cron!r}{instead}")
    return None


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
    run = _wait(api, run_id, progress, interval)
    for _ in range(_SETTLING_READS):
        if progress.settled(run):
            break
        time.sleep(interval)
        run = api.get_run(run_id)
        progress.show(run)
    states = progress.states(run)
    words: dict[str, str] = {}
    for task in REJECTIONS:
        if states.get(task) == "FAILED":
            with suppress(ApiError, ValueError):
                words[task] = api.words(run_id, task)
    return decide(run.state, states, words)


def _wait(api: Api, run_id: str, progress: _Progress, interval: float) -> Any:
    answered = time.monotonic()
    while True:
        try:
            run = api.get_run(run_id)
        except ApiError as error:
            if not error.passing or time.monotonic() - answered > _PATIENCE:
                raise
            progress.say(f"WARNING: {error}; trying again")
        else:
            answered = time.monotonic()
            progress.show(run)
            if run.state in FINAL_STATES:
                return run
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
      The exit status that the local run would have; PUSHED too if nothing was waited for.

    Raises:
      ApiError: the API server refused, or can't be reached.
    """
    run_id = start(api, submission, say)
    if run_id is None or not wait:
        return ExitStatus.PUSHED
    try:
        outcome = follow(api, run_id, submission.pipeline.tasks, say, interval)
    except KeyboardInterrupt:
        try:
            api.terminate(run_id)
        except ApiError as error:
            say(f"Error: interrupted, but run {run_id} goes on: {error}")
        else:
            say(f"Error: interrupted; run {run_id} is told to stop")
        return ExitStatus.INTERRUPTED
    prefix = "" if outcome.status is ExitStatus.PUSHED else "Error: "
    say(f"{prefix}{outcome.reason}")
    return outcome.status
