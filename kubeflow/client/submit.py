"""Submits a compiled pipeline, follows the run, and reports the outcome."""

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

_RETRY_SECONDS = 300.0
# The server may update the run's state shortly before the states of its tasks.
_SETTLING_READS = 5
_STATE_LABELS = {"SUCCEEDED": "done", "SKIPPED": "skipped", "CANCELED": "canceled"}
_DRIVER = "-driver"

Echo = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Submission:
    """A compiled pipeline with the names and parameters of its run.

    Attributes:
      pipeline: the compiled pipeline.
      parameters: runtime parameters, with the types that the API server requires.
      experiment: name of the experiment.
      run_name: name of the run, or of the recurring run.
      pipeline_root: URI for artifacts; None uses the cluster's pipeline root.
      service_account: ServiceAccount for the run's pods; None uses the cluster's default.
      cron: if set, a recurring run is created instead of a single run.
    """

    pipeline: CompiledPipeline
    parameters: dict[str, Any]
    experiment: str
    run_name: str
    pipeline_root: str | None = None
    service_account: str | None = None
    cron: str | None = None


def upload(api: Api, submission: Submission, echo: Echo) -> dict[str, Any]:
    """Uploads the pipeline and creates the experiment.

    Returns:
      The V2beta1Run to create; a recurring run has the same fields.

    Raises:
      ApiError: the API server can't be reached or rejected a request.
    """
    version = api.upload(submission.pipeline)
    experiment_id = api.experiment(submission.experiment)
    echo(f"Pipeline: {submission.pipeline.name}, version {submission.pipeline.version}")
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


def follow(api: Api, run_id: str, tasks: Iterable[str], echo: Echo, interval: float) -> Outcome:
    """Waits until a run ends and reports each task that finishes.

    Args:
      api: client for the API server.
      run_id: the run's id.
      tasks: names of the pipeline's tasks. The Argo Workflow has many more nodes.
      echo: receives each output line.
      interval: seconds between requests.

    Raises:
      ApiError: the API server rejected a request or was unreachable for five minutes.
    """
    progress = _Progress(frozenset(tasks), echo)
    run = _poll(api, run_id, progress, interval)
    while run.state not in FINAL_STATES:
        time.sleep(interval)
        run = _poll(api, run_id, progress, interval)
    for _ in range(_SETTLING_READS):
        if progress.settled(run):
            break
        time.sleep(interval)
        run = _poll(api, run_id, progress, interval)
    states = progress.states(run)
    outputs = {
        task: _container_output(api, run_id, task, echo, interval)
        for task in REJECTIONS
        if states.get(task) == "FAILED"
    }
    return decide(run.state, states, outputs)


def _container_output(api: Api, run_id: str, task: str, echo: Echo, interval: float) -> str:
    """Joins the Argo message and the log of each of the task's pods; skips unreadable ones."""
    output = []
    with suppress(ApiError, ValueError):
        for pod, message in _retry(partial(api.pods, run_id, task), echo, interval):
            output.append(message)
            with suppress(ApiError):
                output.append(_retry(partial(api.log, run_id, pod), echo, interval))
    return "\n".join(filter(None, output))


def _poll(api: Api, run_id: str, progress: _Progress, interval: float) -> Run:
    run = _retry(partial(api.get_run, run_id), progress.echo, interval)
    progress.show(run)
    return run


def _retry(request: Callable[[], T], echo: Echo, interval: float) -> T:
    """Repeats a request for up to five minutes while its errors are transient."""
    start = time.monotonic()
    while True:
        try:
            return request()
        except ApiError as error:
            if not error.transient or time.monotonic() - start > _RETRY_SECONDS:
                raise
            echo(f"WARNING: {error}; retrying")
        time.sleep(interval)


@dataclass
class _Progress:
    """Reports each finished task once."""

    tasks: frozenset[str]
    echo: Echo
    _reported: set[str] = field(default_factory=set)

    def show(self, run: Run) -> None:
        """Reports the tasks that finished since the last call, in order of their end times."""
        finished = [
            task for task in self._tasks_of(run) if task.state in FINAL_STATES - {"CANCELED"}
        ]
        for task in sorted(finished, key=lambda task: task.end_time):
            name = task.display_name
            # Drivers are internal to KFP, so only their failures are reported.
            if name in self._reported or (name.endswith(_DRIVER) and task.state != "FAILED"):
                continue
            self._reported.add(name)
            seconds = max(0.0, (task.end_time - task.start_time).total_seconds())
            label = _STATE_LABELS.get(task.state, task.state)
            now = datetime.now(timezone.utc).strftime("%H:%M:%S")
            self.echo(f"{now}  {name:<18} {label:<9}{seconds:7.0f} s")

    def states(self, run: Run) -> dict[str, str]:
        """Maps the names of tasks and their drivers to their states."""
        return {task.display_name: task.state for task in self._tasks_of(run)}

    def settled(self, run: Run) -> bool:
        """Whether the tasks' states are consistent with the run's final state."""
        states = self.states(run)
        if run.state == "SUCCEEDED":
            return all(states.get(task) in FINAL_STATES for task in self.tasks)
        return run.state != "FAILED" or "FAILED" in states.values()

    def _tasks_of(self, run: Run) -> list[Task]:
        names = self.tasks | {f"{task}{_DRIVER}" for task in self.tasks}
        return [task for task in run.tasks if task.display_name in names]


def submit(
    api: Api, submission: Submission, echo: Echo, *, wait: bool, interval: float
) -> ExitStatus:
    """Creates a run, or a schedule if `submission.cron` is set. An interruption stops the run.

    Args:
      api: client for the API server.
      submission: the pipeline and its parameters.
      echo: receives each output line.
      wait: whether to wait until the run ends.
      interval: seconds between requests while waiting.

    Returns:
      The exit status of a local run with the same outcome. SUCCESS for a schedule, or if `wait` is
      False.

    Raises:
      ApiError: the API server can't be reached or rejected a request. The message names the run if
        it was started.
    """
    run_id, started = None, "nothing was started"
    try:
        body = upload(api, submission, echo)
        if submission.cron is not None:
            started = "the recurring run may exist beside the one it replaces; check the UI"
            _schedule(api, body, submission.cron, echo)
            return ExitStatus.SUCCESS
        started = "the run may have been created; check the UI"
        with _deferred_interrupt():
            run_id = api.create_run(body)
            started = f"run {run_id} continues"
            echo(f"Run: {submission.run_name} ({run_id}) in experiment {submission.experiment}")
        if not wait:
            return ExitStatus.SUCCESS
        outcome = follow(api, run_id, submission.pipeline.tasks, echo, interval)
    except ApiError as error:
        if run_id is None and not error.transient:
            raise
        raise ApiError(f"{error}; {started}", transient=error.transient) from error
    except KeyboardInterrupt:
        echo(f"Error: interrupted; {_stop(api, run_id) if run_id else started}")
        return ExitStatus.INTERRUPTED
    prefix = "Error: " if outcome.status is ExitStatus.FAILED else ""
    echo(f"{prefix}{outcome.reason}")
    return outcome.status


def _schedule(api: Api, body: dict[str, Any], cron: str, echo: Echo) -> None:
    new, replaced = api.schedule(body, cron)
    note = f"; replaced {replaced} with the same name" if replaced else ""
    echo(f"Recurring run: {body['display_name']} ({new}) at {cron!r}{note}")


def _stop(api: Api, run_id: str) -> str:
    try:
        api.terminate(run_id)
    except ApiError as error:
        return f"run {run_id} could not be stopped and continues: {error}"
    return f"stopping run {run_id}"


@contextmanager
def _deferred_interrupt() -> Iterator[None]:
    """Defers Ctrl+C to the end of the block, so that the id of a created run is never lost.

    A second Ctrl+C interrupts immediately.

    Raises:
      KeyboardInterrupt: Ctrl+C was pressed. Replaces any exception from the block.
    """
    interruptions: list[int] = []

    def defer(number: int, _frame: FrameType | None) -> None:
        if interruptions:
            raise KeyboardInterrupt
        interruptions.append(number)
        # `echo` is not reentrant, and the signal may have interrupted it.
        sys.stderr.write(
            "Interrupted: waiting for the run's id to stop the run; press Ctrl+C again to quit\n"
        )

    previous = signal.signal(signal.SIGINT, defer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if interruptions:
            raise KeyboardInterrupt
