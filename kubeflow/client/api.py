"""The API server of Kubeflow Pipelines, through the SDK's client, 2.5 and 2.16 alike.

The two differ in the generated code below the client (`get_run` became `run_service_get_run`), so
that only the client's own methods are called, and `ApiClient.call_api` for the two routes that no
generated method knows.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kfp.client import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from mnist_kubeflow.client.compiled import CompiledPipeline

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105 - the name of a variable, not a token
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105
_TRY_AGAIN = frozenset({0, 408, 429})


class ApiError(Exception):
    """The API server can't be reached, or refused; one line says why.

    Attributes:
      passing: whether the same request may succeed later.
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class _Client(Client):
    """The SDK's, which is told everything, and neither remembers nor guesses a namespace.

    `Client(namespace=...)` is where the API server lives, `kubeflow`, and not the user's.
    """

    def _load_config(self, *arguments: Any, **named: Any) -> Any:
        config = super()._load_config(*arguments, **named)
        refresh = config.refresh_api_key_hook
        config.host = host = config.host.rstrip("/")

        def refresh_and_keep_host(config: Any) -> None:
            # With a token from kubectl's configuration, this puts back itself, and the host without
            # the path to the service (kubernetes.config, KubeConfigLoader._set_config).
            refresh(config)
            config.host, config.refresh_api_key_hook = host, refresh_and_keep_host

        config.refresh_api_key_hook = refresh and refresh_and_keep_host
        return config

    def _load_context_setting_or_default(self) -> None:
        """Reads ~/.config/kfp/context.json: its cookie and header are the SDK's authentication."""
        try:
            super()._load_context_setting_or_default()
            if not isinstance(self._context_setting, dict):
                raise ValueError(f"received a {type(self._context_setting).__name__}")
        except ValueError as error:
            rule = f"expected a JSON object in {self._LOCAL_KFP_CONTEXT}"
            raise ApiError(f"{rule}: {error}; mend or delete it", passing=False) from error
        # Without a name, the SDK would take the pod's namespace, and write it into that file.
        self._context_setting["namespace"] = "unused"

    def get_user_namespace(self) -> str:
        """None but the one that a call is given."""
        return ""


class Api:
    """What `submit` needs of the API server."""

    def __init__(
        self,
        host: str | None,
        namespace: str | None,
        token_file: Path | None,
        ca_certificates: Path | None,
    ) -> None:
        """Connects.

        Args:
          host: where the API server is; None leaves it to the SDK (KF_PIPELINES_ENDPOINT, else the
            cluster this runs in, else the current context of kubectl's configuration).
          namespace: the profile's, for Kubeflow's multi-user mode. The API server's own is
            `kubeflow`; for another one, name the host.
          token_file: with a bearer token that is read anew for each request; None takes the file
            that KF_PIPELINES_SA_TOKEN_PATH names, else the token in KF_PIPELINES_TOKEN, else
            what the SDK finds by itself. All three need a host, the second one not in a cluster.
          ca_certificates: PEM file of those to trust, which needs a host; None takes what kubectl's
            configuration says if it is used, else those of the package certifi. No environment
            variable is read (kfp_server_api.rest, RESTClientObject).

        Raises:
          ApiError: the API server can't be reached, does not know us, or has to be named.
        """
        host = host or os.environ.get(HOST_VARIABLE)
        self._host = host or "the cluster's API server"
        self._namespace = namespace
        path = token_file or os.environ.get(TOKEN_FILE_VARIABLE)
        token = None if path else os.environ.get(TOKEN_VARIABLE)
        if not host:
            _refuse_what_needs_a_host(token_file, ca_certificates)
        with self._reported():
            self._client = _Client(
                host=host,
                ssl_ca_cert=str(ca_certificates) if ca_certificates else None,
                credentials=ServiceAccountTokenVolumeCredentials(str(path)) if path else None,
                existing_token=token,
            )

    def upload(self, pipeline: CompiledPipeline) -> tuple[str, str]:
        """Uploads the pipeline, or a new version of it, unless the same content is there.

        Returns:
          The ids of the pipeline and of its version.
        """
        with self._reported():
            known = self._client.list_pipelines(
                filter=_equals("display_name", pipeline.name), namespace=self._namespace
            ).pipelines
            if not known:
                made = self._client.upload_pipeline(
                    str(pipeline.path), pipeline_name=pipeline.name, namespace=self._namespace
                )
                pipeline_id = made.pipeline_id
            else:
                pipeline_id = known[0].pipeline_id
            versions = self._client.list_pipeline_versions(
                pipeline_id, filter=_equals("display_name", pipeline.version)
            ).pipeline_versions
            if versions:
                return pipeline_id, versions[0].pipeline_version_id
            version = self._client.upload_pipeline_version(
                str(pipeline.path), pipeline.version, pipeline_id=pipeline_id
            )
            return pipeline_id, version.pipeline_version_id

    def experiment(self, name: str) -> str:
        """The id of the experiment, which is made if there is none."""
        with self._reported():
            made = self._client.create_experiment(name, namespace=self._namespace)
            return made.experiment_id

    def run(self, name: str, experiment_id: str, **source: Any) -> str:
        """Starts a run; `source` is what SDK's `run_pipeline` takes. Returns the run's id."""
        with self._reported():
            return self._client.run_pipeline(experiment_id, name, **source).run_id

    def schedule(self, name: str, experiment_id: str, cron: str, **source: Any) -> tuple[str, int]:
        """Makes a recurring run, and deletes those of the same name that it replaces.

        Returns:
          The new one's id, and how many it replaced.
        """
        with self._reported():
            # A larger page than anybody has schedules in one experiment.
            old = self._client.list_recurring_runs(experiment_id=experiment_id, page_size=200)
            new = self._client.create_recurring_run(
                experiment_id,
                name,
                cron_expression=cron,
                max_concurrency=1,
                no_catchup=True,
                **source,
            )
            replaced = [run for run in old.recurring_runs or [] if run.display_name == name]
            for run in replaced:
                self._client.delete_recurring_run(run.recurring_run_id)
            return new.recurring_run_id, len(replaced)

    def get_run(self, run_id: str) -> Any:
        """The run, a `V2beta1Run`."""
        with self._reported():
            return self._client.get_run(run_id)

    def terminate(self, run_id: str) -> None:
        """Asks the run to stop."""
        with self._reported():
            self._client.terminate_run(run_id)

    def pods(self, run_id: str, task: str) -> list[tuple[str, str]]:
        """What `executor_pods` says of a task's."""
        detail = json.loads(self._get(f"/apis/v1beta1/runs/{run_id}"))
        manifest = detail.get("pipeline_runtime", {}).get("workflow_manifest") or "{}"
        return executor_pods(json.loads(manifest), task)

    def log(self, run_id: str, pod: str) -> str:
        """The log of a pod's main container; nothing if it is gone."""
        log = self._get(f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log")
        # This route answers 200 before it looks for the log.
        return "" if log.startswith('{"error_message"') else log

    def _get(self, path: str) -> str:
        """The body of a route that the generated client does not know; it is small."""
        with self._reported():
            response = self._client._run_api.api_client.call_api(
                path,
                "GET",
                auth_settings=["Bearer"],
                _preload_content=False,
                _return_http_data_only=True,
            )
        return response.data.decode("utf-8", errors="replace")

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Silences the SDK, which prints and logs, and turns what it raises into ApiError."""
        level = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except ApiException as error:
            passing = error.status in _TRY_AGAIN or error.status >= 500  # noqa: PLR2004
            raise ApiError(_server_says(error), passing=passing) from error
        except (HTTPError, TimeoutError, OSError) as error:
            hint = "check --host, --ca-cert, the network and the token"
            raise ApiError(f"can't reach {self._host}: {error}; {hint}", passing=True) from error
        except ValueError as error:
            said = " ".join(str(error).split())
            raise ApiError(f"the SDK refused: {said}", passing=False) from error
        finally:
            logging.disable(level)


def _refuse_what_needs_a_host(token_file: Path | None, ca_certificates: Path | None) -> None:
    """The SDK would mix these with kubectl's, drop them, or send a token to http://localhost."""
    projected = os.environ.get(TOKEN_FILE_VARIABLE)
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    given = {
        "--token-file": token_file,
        "--ca-cert": ca_certificates,
        # In a cluster the SDK reads this variable, and knows the host.
        TOKEN_FILE_VARIABLE: None if in_cluster else projected,
        TOKEN_VARIABLE: None if projected else os.environ.get(TOKEN_VARIABLE),
    }
    names = " and ".join(name for name, value in given.items() if value)
    if names:
        needed = f"expected --host or {HOST_VARIABLE} with {names}"
        raise ApiError(f"{needed}, received neither; name the API server", passing=False)


def executor_pods(workflow: Mapping[str, Any], task: str) -> list[tuple[str, str]]:
    """The names of the pods that executed a task, and Argo's messages about them, oldest first.

    Args:
      workflow: an Argo Workflow; its node `<workflow>.root.<task>.executor` runs the container,
        with `(0)`, `(1)` after it if the task may be retried.
      task: the task's name.
    """
    name = workflow.get("metadata", {}).get("name", "")
    prefix = f"{name}.root.{task}.executor"
    nodes = [
        node
        for node in workflow.get("status", {}).get("nodes", {}).values()
        if node.get("type") == "Pod" and node.get("name", "").startswith(prefix)
    ]
    nodes.sort(key=lambda node: node.get("startedAt") or "")
    return [(_pod_name(name, node), node.get("message", "")) for node in nodes]


def _pod_name(workflow: str, node: Mapping[str, Any]) -> str:
    """Argo's: the workflow's name, the template's, and the hash that ends the node's id."""
    return f"{workflow}-{node.get('templateName', '')}-{node['id'].rsplit('-', 1)[-1]}"


def _equals(key: str, value: str) -> str:
    predicate = {"operation": "EQUALS", "key": key, "string_value": value}
    return json.dumps({"predicates": [predicate]})


def _server_says(error: ApiException) -> str:
    """The message in the server's answer: gRPC's `message`, or the upload's `error_message`."""
    try:
        body = json.loads(error.body)
        message = body.get("message") or body.get("error_message")
    except (AttributeError, TypeError, ValueError):
        message = None
    said = " ".join(str(message or error.reason or "no reason given").split())
    hint = {401: "; check the token", 403: "; check the token's rights"}.get(error.status, "")
    return f"the API server refused with HTTP status {error.status}: {said}{hint}"
