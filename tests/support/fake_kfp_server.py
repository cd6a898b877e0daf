"""A fake Kubeflow Pipelines API server: it implements the REST contract but runs nothing.

Based on `backend/api/v2beta1/*.proto`, `backend/src/apiserver/server/` (pipeline_upload_server,
run_server, api_converter) and `backend/src/apiserver/template/v2_template.go` of
kubeflow/pipelines 2.5.0 to 2.17.0. In particular:

* `run_details.task_details` lists Argo's nodes: `<workflow>`, `root-driver`, `root`, and for each
  task `<task>-driver`, `<task>` and `executor`. Their `error` is never set.
* Upload errors are `{"error_message", "error_details"}`. All other errors are a
  `google.rpc.Status`.
* The log route sends status 200 before looking for the log, so an error is JSON with status 200.
* In multi-user mode, pipelines and experiments belong to the namespace in the request, and an
  experiment requires one. In single-user mode the namespace is ignored (`ReplaceNamespace`).
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

WORKFLOW = "mnist-x7k2p"
_NOW = "2026-03-01T10:00:00Z"
_NUMBERS = ("NUMBER_DOUBLE", "NUMBER_INTEGER")
_NOT_FOUND, _INVALID, _UNAUTHENTICATED = 5, 3, 16


class RequestError(Exception):
    """An error response.

    Args:
      status: the HTTP status.
      code: the gRPC code.
      message: the error message.
      upload: whether the response has the format of the upload routes.
    """

    def __init__(self, status: int, code: int, message: str, *, upload: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": message, "code": code, "message": message}
        if upload:
            self.body = {"error_message": message, "error_details": message}


@dataclass
class Frame:
    """The state of a run at one request; later requests repeat the last frame.

    Attributes:
      state: the run's state.
      tasks: the state of each task that has started.
    """

    state: str
    tasks: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeKfpServer:
    """State of the server. Tests configure the first group of fields and check the second.

    Attributes:
      prefix: path of the API server, relative to `url`.
      token: bearer token that requests must have.
      cookie: cookie that requests must have.
      login_page: URL that all requests are redirected to.
      web_page: response to all requests, as from a server of another kind.
      frames: successive states of each run.
      messages: Argo's message about the pods of each task.
      logs: log of each task. Requests for the log of any other task fail.
      retried: tasks with two attempts.
      outages: HTTP statuses of the next requests about runs; 200 means success.
    """

    url: str = ""
    prefix: str = ""
    token: str | None = None
    cookie: str | None = None
    login_page: str | None = None
    web_page: bytes | None = None
    multi_user: bool = False
    frames: list[Frame] = field(default_factory=lambda: [Frame("SUCCEEDED")])
    messages: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    retried: set[str] = field(default_factory=set)
    outages: list[int] = field(default_factory=list)
    on_get_run: Callable[[], None] = lambda: None
    on_upload: Callable[[], None] = lambda: None
    on_create: Callable[[], None] = lambda: None
    on_delete: Callable[[], None] = lambda: None

    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurring: dict[str, dict[str, Any]] = field(default_factory=dict)
    terminated: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def namespace(self, request: dict[str, str]) -> str:
        return request.get("namespace", "") if self.multi_user else ""

    def experiment_namespace(self, request: dict[str, str]) -> str:
        namespace = self.namespace(request)
        if self.multi_user and not namespace:
            message = "Failed to authorize with API: An experiment cannot have an empty namespace"
            raise RequestError(400, _INVALID, message)
        return namespace

    def upload(self, query: dict[str, str], content: bytes) -> Any:
        self.on_upload()
        name, namespace = query["name"], self.namespace(query)
        if any(
            (one["display_name"], one["namespace"]) == (name, namespace)
            for one in self.pipelines.values()
        ):
            message = "Failed to create a pipeline and a pipeline version"
            raise RequestError(409, 6, message, upload=True)
        pipeline = {
            "pipeline_id": str(uuid.uuid4()),
            "display_name": name,
            "created_at": _NOW,
            "namespace": namespace,
        }
        spec = _read_spec(content)
        self.pipelines[pipeline["pipeline_id"]] = pipeline
        self._add_version(pipeline["pipeline_id"], name, spec)
        return pipeline

    def upload_version(self, query: dict[str, str], content: bytes) -> Any:
        pipeline_id = query["pipelineid"]
        same = [
            version
            for version in self.versions.values()
            if (version["pipeline_id"], version["display_name"]) == (pipeline_id, query["name"])
        ]
        if pipeline_id not in self.pipelines or same:
            raise RequestError(400, _INVALID, "Failed to create a pipeline version", upload=True)
        return self._add_version(pipeline_id, query["name"], _read_spec(content))

    def _add_version(self, pipeline_id: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        version: dict[str, Any] = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": str(uuid.uuid4()),
            "display_name": name,
            "created_at": _NOW,
            "pipeline_spec": spec,
        }
        self.versions[version["pipeline_version_id"]] = version
        return version

    def create_experiment(self, body: dict[str, Any]) -> Any:
        experiment = body | {
            "experiment_id": str(uuid.uuid4()),
            "created_at": _NOW,
            "namespace": self.experiment_namespace(body),
        }
        self.experiments[experiment["experiment_id"]] = experiment
        return experiment

    def create_run(self, body: dict[str, Any]) -> Any:
        self._check_source(body, "Failed to create a new run")
        if not body.get("display_name"):
            raise RequestError(400, _INVALID, "The run name is empty. Please specify a valid name")
        run = body | {"run_id": str(uuid.uuid4()), "created_at": _NOW, "state": "PENDING"}
        self.runs[run["run_id"]] = run
        self.on_create()
        return run

    def create_recurring_run(self, body: dict[str, Any]) -> Any:
        self._check_source(body, "Failed to create a recurring run")
        cron = body["trigger"]["cron_schedule"]["cron"]
        if not cron.startswith("@") and len(cron.split()) != 6:
            raise RequestError(
                400, _INVALID, f"Schedule cron is not a valid cron expression: {cron}"
            )
        recurring = body | {"recurring_run_id": str(uuid.uuid4()), "status": "ENABLED"}
        self.recurring[recurring["recurring_run_id"]] = recurring
        return recurring

    def delete_recurring_run(self, recurring_run_id: str) -> Any:
        self.on_delete()
        del self.recurring[recurring_run_id]
        return {}

    def _check_source(self, body: dict[str, Any], title: str) -> None:
        if body["experiment_id"] not in self.experiments:
            raise RequestError(404, _NOT_FOUND, f"{title}: Experiment not found")
        reference = body["pipeline_version_reference"]
        version = self.versions[reference["pipeline_version_id"]]
        inputs = version["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
        given = body["runtime_config"].get("parameters", {})
        extra = ", ".join(set(given) - set(inputs))
        if extra:
            message = f"parameter(s) provided are not required by pipeline: {extra}"
            raise RequestError(400, _INVALID, f"{title}: InvalidInputError: {message}")
        for name, value in given.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if inputs[name]["parameterType"] in _NUMBERS and not number:
                message = f"input parameter {name} requires type double or integer, but the "
                raise RequestError(
                    400, _INVALID, f"{title}: {message}parameter value is not of number"
                )
            if inputs[name]["parameterType"] == "STRING" and not isinstance(value, str):
                message = f"input parameter {name} requires type string"
                raise RequestError(400, _INVALID, f"{title}: InvalidInputError: {message}")

    def get_run(self, run_id: str) -> Any:
        self._check_run(run_id)
        self.on_get_run()
        frame = self.frames.pop(0) if len(self.frames) > 1 else self.frames[0]
        details = {"pipeline_context_id": "1", "task_details": list(_task_details(frame, run_id))}
        return self.runs[run_id] | {"state": frame.state, "run_details": details}

    def get_run_v1(self, run_id: str) -> Any:
        self._check_run(run_id)
        manifest = json.dumps(self._workflow())
        run = {"id": run_id, "name": self.runs[run_id]["display_name"]}
        return {"run": run, "pipeline_runtime": {"workflow_manifest": manifest}}

    def _workflow(self) -> dict[str, Any]:
        nodes = {}
        for number, task in enumerate(self.frames[-1].tasks):
            if task.endswith("-driver"):
                continue
            attempts = ["(0)", "(1)"] if task in self.retried else [""]
            for attempt, suffix in enumerate(attempts):
                node_id = f"{WORKFLOW}-{1000 + 10 * number + attempt}"
                nodes[node_id] = {
                    "id": node_id,
                    "name": f"{WORKFLOW}.root.{task}.executor{suffix}",
                    "displayName": f"executor{suffix}",
                    "type": "Pod",
                    "templateName": f"{'retry-' if suffix else ''}system-container-impl",
                    "startedAt": f"2026-03-01T10:0{attempt}:00Z",
                    "message": self.messages.get(task, ""),
                }
        return {"metadata": {"name": WORKFLOW}, "status": {"nodes": nodes}}

    def log(self, run_id: str, pod: str) -> Any:
        self._check_run(run_id)
        for node in self._workflow()["status"]["nodes"].values():
            name = f"{WORKFLOW}-{node['templateName']}-{node['id'].rsplit('-', 1)[1]}"
            task = node["name"].split(".")[2]
            if name == pod and task in self.logs:
                return self.logs[task].encode()
        message = f"Failed to read logs for run {run_id}: pods {pod!r} not found"
        return {"error_message": message, "error_details": message}

    def terminate(self, run_id: str) -> Any:
        self._check_run(run_id)
        self.terminated.append(run_id)
        return {}

    def _check_run(self, run_id: str) -> None:
        status = self.outages.pop(0) if self.outages else 200
        if status != 200:
            raise RequestError(status, 14, "upstream connect error")
        if run_id not in self.runs:
            message = f"Failed to get a run: ResourceNotFoundError: Run {run_id} not found."
            raise RequestError(404, _NOT_FOUND, message)


def _read_spec(content: bytes) -> dict[str, Any]:
    try:
        spec = next(yaml.safe_load_all(content))
        if spec["schemaVersion"] != "2.1.0" or not spec["root"]["dag"]["tasks"]:
            raise KeyError
    except (KeyError, TypeError, yaml.YAMLError) as error:
        message = "invalid v2 pipeline spec: root component is empty"
        raise RequestError(400, _INVALID, message, upload=True) from error
    return dict(spec)


def _task_details(frame: Frame, run_id: str) -> Iterator[dict[str, Any]]:
    nodes = {WORKFLOW: frame.state, "root-driver": "SUCCEEDED", "root": frame.state}
    for task, state in frame.tasks.items():
        nodes.setdefault(f"{task}-driver", "SUCCEEDED")
        nodes[task] = state
    for number, (name, state) in enumerate(nodes.items()):
        final = state in ("SUCCEEDED", "FAILED", "SKIPPED")
        yield {
            "run_id": run_id,
            "task_id": str(uuid.uuid4()),
            "display_name": name,
            "create_time": _NOW,
            "start_time": _NOW,
            "end_time": f"2026-03-01T10:{number:02}:30Z" if final else "0001-01-01T00:00:00Z",
            "state": state,
            "child_tasks": [{"pod_name": f"{WORKFLOW}-{1000 + number}"}],
        }
        if name == "root":
            yield {"display_name": "executor", "state": "FAILED", "end_time": _NOW}


def _matching(items: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    found = list(items.values())
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        assert predicate["operation"] == "EQUALS"
        found = [item for item in found if item[predicate["key"]] == predicate["string_value"]]
    return found


class _Handler(BaseHTTPRequestHandler):
    fake: FakeKfpServer

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name upstream
        """Suppresses the access log."""

    def _respond(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = f"{self.command} {unquote(address.path).removeprefix(self.fake.prefix)}"
        self.fake.requests.append(route)
        try:
            status, response = 200, self._route(route, query, content)
        except RequestError as error:
            status, response = error.status, error.body
        body = response if isinstance(response, bytes) else json.dumps(response).encode()
        body = self.fake.web_page or body
        self.send_response(302 if self.fake.login_page else status)
        if self.fake.login_page:
            self.send_header("Location", self.fake.login_page)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # An interrupted client closes the connection.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def _route(self, route: str, query: dict[str, str], content: bytes) -> Any:
        fake = self.fake
        expected = f"Bearer {fake.token}"
        if not self.path.startswith(fake.prefix):
            raise RequestError(404, _NOT_FOUND, "404 page not found")
        if (fake.token is not None and self.headers.get("authorization") != expected) or (
            fake.cookie is not None and self.headers.get("cookie") != fake.cookie
        ):
            message = "Unauthenticated: Request header error: there is no user identity header."
            raise RequestError(401, _UNAUTHENTICATED, message)
        api = r"/apis/v2beta1"
        routes: list[tuple[str, Callable[..., Any]]] = [
            (
                rf"GET {api}/pipelines",
                lambda: _list("pipelines", fake.pipelines, query, namespace=fake.namespace(query)),
            ),
            (rf"POST {api}/pipelines/upload", lambda: fake.upload(query, self._file(content))),
            (
                rf"POST {api}/pipelines/upload_version",
                lambda: fake.upload_version(query, self._file(content)),
            ),
            (
                rf"GET {api}/pipelines/([^/]+)/versions",
                lambda one: _list("pipeline_versions", fake.versions, query, pipeline_id=one),
            ),
            (
                rf"GET {api}/experiments",
                lambda: _list(
                    "experiments",
                    fake.experiments,
                    query,
                    namespace=fake.experiment_namespace(query),
                ),
            ),
            (rf"POST {api}/experiments", lambda: fake.create_experiment(json.loads(content))),
            (rf"POST {api}/runs", lambda: fake.create_run(json.loads(content))),
            (rf"GET {api}/runs/([^/:]+)", fake.get_run),
            (rf"POST {api}/runs/([^/:]+):terminate", fake.terminate),
            (
                rf"GET {api}/recurringruns",
                lambda: _list(
                    "recurringRuns",
                    fake.recurring,
                    query,
                    **{key: value for key, value in query.items() if key == "experiment_id"},
                ),
            ),
            (rf"POST {api}/recurringruns", lambda: fake.create_recurring_run(json.loads(content))),
            (rf"DELETE {api}/recurringruns/([^/]+)", fake.delete_recurring_run),
            (r"GET /apis/v1beta1/runs/([^/:]+)", fake.get_run_v1),
            (r"GET /apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", fake.log),
        ]
        for pattern, handle in routes:
            match = re.fullmatch(pattern, route)
            if match:
                return handle(*match.groups())
        raise RequestError(404, _NOT_FOUND, "Not Found")

    def _file(self, content: bytes) -> bytes:
        header = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        for part in message_from_bytes(header + content).walk():
            if part.get_param("name", header="content-disposition") == "uploadfile":
                return bytes(part.get_payload(decode=True))
        raise RequestError(400, _INVALID, "Failed to read pipeline from file", upload=True)


def _list(
    name: str, items: dict[str, dict[str, Any]], query: dict[str, str], **owner: str
) -> dict[str, Any]:
    found = [item for item in _matching(items, query) if owner.items() <= item.items()]
    # Like protojson, without empty fields.
    return {name: found, "total_size": len(found)} if found else {}


@contextmanager
def fake_kfp_server(certificate: Path | None = None) -> Iterator[FakeKfpServer]:
    """Runs a server, over TLS if `certificate` is given: a PEM file that includes the key."""
    fake = FakeKfpServer()
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
