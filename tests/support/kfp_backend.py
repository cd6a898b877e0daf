"""Emulates open-source KFP v2: runs a compiled pipeline on this machine without a cluster.

For each task, `kfp_driver` builds the executor input, and the inputs are downloaded from an object
store to empty staging directories. The task's real command runs in a separate process. Its outputs
are uploaded and recorded in a real ML Metadata store (`kfp_metadata`). Later tasks find their
inputs in that store. Follows backend/src/v2/component/launcher_v2.go of kubeflow/pipelines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ml_metadata.proto import metadata_store_pb2 as mlmd

from support.kfp_driver import (
    BackendError,
    as_text,
    fill_parameters,
    fingerprint,
    local_path,
    provision_outputs,
    resolve_inputs,
    task_order,
)
from support.kfp_metadata import Json, KfpMetadata
from support.kfp_object_store import ObjectStore, download, upload

LOGS = "executor-logs"

Runner = Callable[[Sequence[str], str, Path], int]
"""Runs a command in an image, writes its output to a file, and returns its exit status."""


def run_process(command: Sequence[str], image: str, log: Path) -> int:
    """Runs a container's command as a local process in an empty directory, with this Python."""
    del image
    directory = log.parent / f"cwd-{uuid.uuid4()}"
    directory.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("wb") as output:
        process = subprocess.run(
            command,
            cwd=directory,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return process.returncode


@dataclass
class Run:
    """A finished run.

    Attributes:
      states: COMPLETE, CACHED or FAILED for each task, in execution order. Tasks after a failed
        task are missing.
      logs: the log of each task, from the object store.
      outputs: runtime artifacts by task and output name, as later tasks receive them.
    """

    states: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, Json]] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return "FAILED" not in self.states.values()


class KfpBackend:
    """A KFP installation with a cache, an object store and an ML Metadata store.

    Args:
      root: the pipeline root, `<scheme>://<bucket>/<prefix>`.
      store: the bucket.
      directory: directory for ML Metadata and the tasks' working directories.
      run_command: runs a task's container.
    """

    def __init__(
        self, root: str, store: ObjectStore, directory: Path, run_command: Runner = run_process
    ) -> None:
        self.root = root
        self.store = store
        self.directory = directory
        self.run_command = run_command
        self.metadata = KfpMetadata(directory / "mlmd.sqlite")
        self._cache: dict[str, int] = {}
        # The launcher's staging directories are below /. If they can't be created there, artifacts
        # get custom paths, which the launcher and the entrypoint also support
        # (retrieveArtifactPath).
        self._base = Path("/") if os.access("/", os.W_OK) else directory / "staging"

    def run(self, package: str, parameters: Mapping[str, Any] | None = None) -> Run:
        """Runs a pipeline until it finishes or a task fails.

        Args:
          package: the compiled pipeline, as YAML.
          parameters: values that override the defaults.

        Raises:
          BackendError: KFP would reject the pipeline.
        """
        spec = next(iter(yaml.safe_load_all(package)))
        values = fill_parameters(spec, parameters or {})
        tasks = spec["root"]["dag"]["tasks"]
        name = spec["pipelineInfo"]["name"]
        run_id = str(uuid.uuid4())
        contexts = self.metadata.start_run(name, run_id, self.root)
        run = Run()
        root = f"{self.root}/{name}/{run_id}"
        for task in task_order(tasks):
            execution = _Execution(self, spec, task, root, contexts)
            execution.prepare(values, lambda task, output: run.outputs[task][output])
            execution.run()
            run.states[task] = self.metadata.state(execution.id)
            run.outputs[task] = self.metadata.outputs(execution.id)
            if LOGS in run.outputs[task]:
                uri = run.outputs[task][LOGS]["uri"]
                run.logs[task] = self.store.read(self.key(uri)).decode(errors="replace")
            if not run.succeeded:
                break
        return run

    def key(self, uri: str) -> str:
        """Returns the object key of a URI, like KeyFromURI in objectstore/config.go.

        The key includes the prefix of the pipeline root.

        Raises:
          BackendError: the URI is not below the pipeline root.
        """
        if not uri.startswith(f"{self.root}/"):
            raise BackendError(f"URI {uri!r} does not have expected bucket prefix {self.root!r}")
        return uri.split("://", 1)[1].split("/", 1)[1]

    def place(self, path: str) -> Path:
        """Returns the path on this machine for an absolute path in the container."""
        return self._base / path.lstrip("/")

    def clear(self) -> None:
        """Deletes the staging directories, which end with the pod."""
        bucket = self.place(local_path("/".join(self.root.split("/")[:3])))
        shutil.rmtree(bucket, ignore_errors=True)
        with suppress(OSError):
            bucket.parent.rmdir()


class _Execution:
    """One task of one run."""

    def __init__(
        self, backend: KfpBackend, spec: Json, task: str, root: str, contexts: list[mlmd.Context]
    ) -> None:
        self.backend = backend
        self.metadata = backend.metadata
        self.name = task
        self.root = root
        self.contexts = contexts
        self.task = spec["root"]["dag"]["tasks"][task]
        self.component = spec["components"][self.task["componentRef"]["name"]]
        executor = spec["deploymentSpec"]["executors"][self.component["executorLabel"]]
        if "container" not in executor:
            # compiler/argocompiler, and the same check in compiler/visitor.go.
            raise BackendError(
                f"task {task}: non-container and non-importer executor not implemented"
            )
        self.container = executor["container"]
        self.input: Json = {}
        self.record = mlmd.Execution()

    @property
    def id(self) -> int:
        return self.record.id

    def prepare(self, parameters: Json, produced: Callable[[str, str], Json]) -> None:
        """Resolves inputs and records the execution, like Container in driver/container.go."""
        self.input = {
            "inputs": resolve_inputs(self.task, self.component, parameters, produced),
            "outputs": provision_outputs(self.root, self.name, self.component),
        }
        self.record = self.metadata.create_execution(self.contexts, self.name, self.input)

    def run(self) -> None:
        """Publishes the outputs of a cached execution, or launches the container."""
        cacheable = self.task.get("cachingOptions", {}).get("enableCache", False)
        key = fingerprint(self.input, self.container)
        if cacheable and key in self.backend._cache:
            cached = self.metadata.outputs(self.backend._cache[key])
            self._publish(mlmd.Execution.CACHED, {n: int(a["name"]) for n, a in cached.items()})
            return
        try:
            self._launch()
        finally:
            self.backend.clear()
        if cacheable and self.record.last_known_state == mlmd.Execution.COMPLETE:
            self.backend._cache[key] = self.id

    def _publish(self, state: mlmd.Execution.State, outputs: Mapping[str, int]) -> None:
        self.metadata.publish(self.record, state, outputs, self.contexts)

    def _launch(self) -> None:
        """Downloads inputs, runs the command and publishes outputs, like executeV2."""
        self.backend.clear()
        (logs,) = self.input["outputs"]["artifacts"][LOGS]["artifacts"]
        logs["uri"] += "-0"  # qualifyExecutorLogsForRetry
        self._set_custom_paths()
        for artifact in self._artifacts("inputs"):
            download(self.backend.store, self.backend.key(artifact["uri"]), _path(artifact))
        for artifact in self._artifacts("outputs"):
            _path(artifact).parent.mkdir(parents=True, exist_ok=True)
        status = self.backend.run_command(self._command(), self.container["image"], _path(logs))
        if status == 0:
            self._publish(mlmd.Execution.COMPLETE, self._collect())
        else:
            self._publish(mlmd.Execution.FAILED, {LOGS: self._upload(LOGS, logs)})

    def _set_custom_paths(self) -> None:
        """Sets custom paths if the staging directories can't be below /."""
        if self.backend.place("/") == Path("/"):
            return
        for artifact in [*self._artifacts("inputs"), *self._artifacts("outputs")]:
            artifact["customPath"] = str(self.backend.place(local_path(artifact["uri"])))
        outputs = self.input["outputs"]
        outputs["outputFile"] = str(self.backend.place(outputs["outputFile"]))

    def _artifacts(self, side: str) -> list[Json]:
        return [a for listed in self.input[side]["artifacts"].values() for a in listed["artifacts"]]

    def _command(self) -> list[str]:
        """Fills the command's placeholders, like addDefaultParams and compileCmdAndArgs."""
        declared = self.component.get("inputDefinitions", {}).get("parameters", {})
        defaults = {k: p["defaultValue"] for k, p in declared.items() if "defaultValue" in p}
        inputs = self.input["inputs"]
        parameters = defaults | inputs["parameterValues"]
        full = self.input | {"inputs": inputs | {"parameterValues": parameters}}
        command = [*self.container["command"], *self.container.get("args", [])]
        placeholders = self._placeholders(parameters)
        filled = []
        for argument in command[1:]:
            text = argument.replace("{{$}}", json.dumps(full))
            for placeholder, value in placeholders.items():
                text = text.replace(f"{{{{$.{placeholder}}}}}", value)
            filled.append(text)
        return [command[0], *filled]

    def _placeholders(self, parameters: Json) -> dict[str, str]:
        """Returns the values of placeholders by name, like getPlaceholders."""
        placeholders = {
            f"inputs.parameters['{name}']": as_text(value) for name, value in parameters.items()
        }
        for side in ("inputs", "outputs"):
            for name, listed in self.input[side]["artifacts"].items():
                (artifact,) = listed["artifacts"]
                placeholders[f"{side}.artifacts['{name}'].uri"] = artifact["uri"]
                placeholders[f"{side}.artifacts['{name}'].path"] = str(_path(artifact))
        return placeholders

    def _collect(self) -> dict[str, int]:
        """Merges the executor output into the output artifacts and uploads them.

        Like getExecutorOutputFile and uploadOutputArtifacts.

        Returns:
          Artifact ids by output name.
        """
        path = Path(self.input["outputs"]["outputFile"])
        written = json.loads(path.read_text())["artifacts"] if path.exists() else {}
        recorded = {}
        for name, listed in self.input["outputs"]["artifacts"].items():
            (artifact,) = listed["artifacts"]
            if name != LOGS and name in written:
                (update,) = written[name]["artifacts"]
                for key in ("uri", "customPath"):
                    if update.get(key):
                        artifact[key] = update[key]
                artifact["metadata"] |= update.get("metadata", {})
            recorded[name] = self._upload(name, artifact)
        return recorded

    def _upload(self, name: str, artifact: Json) -> int:
        """Records an artifact, and uploads it if its URI has a scheme and its file exists."""
        if "://" in artifact["uri"]:
            with suppress(FileNotFoundError):
                upload(self.backend.store, _path(artifact), self.backend.key(artifact["uri"]))
        return self.metadata.record_artifact(name, artifact)


def _path(artifact: Json) -> Path:
    """Returns an artifact's local path, like retrieveArtifactPath."""
    return Path(artifact.get("customPath") or local_path(artifact["uri"]))
