"""Client for the Kubeflow Pipelines API server, with the requests that `submit` needs.

The routes follow `backend/api/v2beta1/*.proto` in kubeflow/pipelines 2.5 to 2.17. Logs are only
available under v1alpha1, and the Argo Workflow of a run only under v1beta1.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from pydantic import BaseModel, ValidationError

from mnist_kubeflow.client.argo import executor_pods
from mnist_kubeflow.client.compiled import CompiledPipeline
from mnist_kubeflow.client.rest import ApiError, RestClient

_API = "/apis/v2beta1"
_NEVER = datetime.min.replace(tzinfo=timezone.utc)
# Larger than any realistic number of schedules in one experiment.
_PAGE_SIZE = 200


class Task(BaseModel):
    """A node of a run's Argo Workflow: a task, a task's driver, or an internal step of KFP."""

    display_name: str = ""
    state: str = ""
    start_time: datetime = _NEVER
    end_time: datetime = _NEVER


class _RunDetails(BaseModel):
    task_details: list[Task] = []


class Run(BaseModel):
    """The state of a run and its tasks."""

    state: str = ""
    run_details: _RunDetails = _RunDetails()

    @property
    def tasks(self) -> list[Task]:
        """All nodes of the run, in no particular order."""
        return self.run_details.task_details


class Api:
    """Client for one namespace. All methods that send requests raise ApiError."""

    def __init__(self, rest: RestClient, namespace: str | None = None) -> None:
        """Creates the client without sending a request.

        Args:
          rest: HTTP client for the API server.
          namespace: the profile's namespace in Kubeflow's multi-user mode, else None.
        """
        self._rest = rest
        self._namespace = {"namespace": namespace} if namespace else {}

    def upload(self, pipeline: CompiledPipeline) -> dict[str, str]:
        """Uploads the pipeline as a new version unless the server already has the same content.

        Returns:
          The `pipeline_version_reference` for a run.
        """
        pipeline_id = self._pipeline(pipeline)
        versions = f"{_API}/pipelines/{pipeline_id}/versions"
        known = self._find(versions, "pipeline_versions", pipeline.version)
        version = known or self._upload(
            "upload_version", pipeline, name=pipeline.version, pipelineid=pipeline_id
        )
        return {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": version["pipeline_version_id"],
        }

    def experiment(self, name: str) -> str:
        """Returns the id of the named experiment, creating the experiment if necessary."""
        path = f"{_API}/experiments"
        known = self._find(path, "experiments", name, **self._namespace)
        body = {"display_name": name, **self._namespace}
        experiment = known or self._rest.json("POST", path, json=body)
        return str(experiment["experiment_id"])

    def create_run(self, body: dict[str, Any]) -> str:
        """Starts a run.

        Args:
          body: a V2beta1Run.

        Returns:
          The run's id.
        """
        return str(self._rest.json("POST", f"{_API}/runs", json=body)["run_id"])

    def schedule(self, body: dict[str, Any], cron: str) -> tuple[str, int]:
        """Creates a recurring run, then deletes older ones with the same name and experiment.

        Args:
          body: the V2beta1Run to create at each scheduled time.
          cron: six fields, seconds first, or a macro such as @daily.

        Returns:
          The new recurring run's id and the number of recurring runs deleted.
        """
        path = f"{_API}/recurringruns"
        query = {"experiment_id": body["experiment_id"], "page_size": _PAGE_SIZE}
        old = self._rest.json("GET", path, params=query).get("recurringRuns", [])
        schedule = {
            "trigger": {"cron_schedule": {"cron": cron}},
            "mode": "ENABLE",
            "max_concurrency": 1,
            "no_catchup": True,
        }
        new = self._rest.json("POST", path, json=body | schedule)
        replaced = [run for run in old if run["display_name"] == body["display_name"]]
        for run in replaced:
            self._rest.json("DELETE", f"{path}/{run['recurring_run_id']}")
        return str(new["recurring_run_id"]), len(replaced)

    def get_run(self, run_id: str) -> Run:
        """Returns the current state of the run."""
        received = self._rest.json("GET", f"{_API}/runs/{run_id}")
        try:
            return Run.model_validate(received)
        except ValidationError as error:
            details = " ".join(str(error).split())
            message = f"expected a run from the API server, received {details}; check --host"
            raise ApiError(message, transient=False) from error

    def terminate(self, run_id: str) -> None:
        """Requests that the run stop; does not wait until it has stopped."""
        self._rest.json("POST", f"{_API}/runs/{run_id}:terminate")

    def pods(self, run_id: str, task: str) -> list[tuple[str, str]]:
        """Returns the names and Argo messages of a task's pods; see `executor_pods`."""
        detail = self._rest.json("GET", f"/apis/v1beta1/runs/{run_id}")
        manifest = detail.get("pipeline_runtime", {}).get("workflow_manifest") or "{}"
        return executor_pods(json.loads(manifest), task)

    def log(self, run_id: str, pod: str) -> str:
        """Returns the log of a pod's main container, or "" if the log no longer exists."""
        log = self._rest.text("GET", f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log")
        # The server sends status 200 before looking for the log, so errors arrive in the body.
        return "" if log.startswith('{"error_message"') else log

    def _pipeline(self, pipeline: CompiledPipeline) -> str:
        path = f"{_API}/pipelines"
        known = self._find(path, "pipelines", pipeline.name, **self._namespace)
        found = known or self._upload("upload", pipeline, name=pipeline.name, **self._namespace)
        return str(found["pipeline_id"])

    def _upload(self, route: str, pipeline: CompiledPipeline, **query: str) -> dict[str, Any]:
        files = {"uploadfile": (pipeline.path.name, pipeline.path.read_bytes())}
        path = f"{_API}/pipelines/{route}"
        return self._rest.json("POST", path, params=query, files=files)

    def _find(self, path: str, kind: str, name: str, **query: str) -> dict[str, Any] | None:
        """Returns the object with this display name, which KFP keeps unique, or None."""
        predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        query["filter"] = json.dumps({"predicates": [predicate]})
        found = self._rest.json("GET", path, params=query).get(kind, [])
        return found[0] if found else None
