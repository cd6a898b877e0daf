"""Checks a compiled pipeline for parts that the backend would reject or silently ignore.

Based on kubeflow/pipelines at commit 7b70c7b (after 2.17.0).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from mnist_kubeflow.compiler.settings import KubeflowSettings
from mnist_kubeflow.compiler.spec import constants_of, executor_of, tasks_of
from pipeline.settings import SettingsError

# Argo's rule for the names of DAG tasks, which KFP takes from the pipeline's tasks.
_TASK_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
# Vertex AI mounts Cloud Storage here in each container.
_VERTEX_MOUNT = PurePosixPath("/gcs")


class UnsupportedPipelineError(SettingsError):
    """The pipeline can't run on the backend or would lose its models. One line for each reason."""


def check(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> None:
    """Checks a pipeline spec before it is finalized.

    Args:
      spec: the PipelineSpec that TFX compiled.
      kubeflow: settings of the cluster.

    Raises:
      UnsupportedPipelineError: the backend would reject the pipeline, or pushed models would be
        lost with the pod.
    """
    problems = list(_problems(spec, kubeflow))
    if problems:
        raise UnsupportedPipelineError("\n".join(problems))


def _problems(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> Iterator[str]:
    tasks = tasks_of(spec)
    unknown = sorted(kubeflow.stages.keys() - tasks.keys())
    if unknown:
        yield f"stages: unknown stage {', '.join(unknown)}; choose from {', '.join(sorted(tasks))}"
    if kubeflow.target == "vertex" and (unsupported := kubeflow.kubernetes_only()):
        yield (
            f"target: vertex does not support {', '.join(sorted(unsupported))}; remove the settings"
        )
    for name, task in sorted(tasks.items()):
        if not _TASK_NAME.fullmatch(name):
            yield (
                f"{name}: expected a component id of letters, digits and hyphens, because it names "
                "an Argo task; set one using with_id()"
            )
        yield from _executor_problems(name, executor_of(spec, task))
        yield from _input_problems(name, task, tasks)
        yield from _serving_problems(name, task, kubeflow)


def _executor_problems(name: str, executor: Mapping[str, Any]) -> Iterator[str]:
    if "preCacheCheck" in executor.get("container", {}).get("lifecycle", {}):
        yield (
            f"{name}: a file-based ExampleGen needs a driver, which does not run on Kubeflow "
            "Pipelines; use an ExampleGen that isn't file-based"
        )


def _input_problems(name: str, task: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[str]:
    for parameter, source in task.get("inputs", {}).get("parameters", {}).items():
        producer = source.get("taskOutputParameter", {}).get("producerTask")
        if producer is not None and producer not in tasks:
            yield (
                f"{name}: parameter {parameter} comes from {producer}, which is not a task of the "
                "pipeline; replace future() with a value or an input artifact"
            )


def _serving_problems(
    name: str, task: Mapping[str, Any], kubeflow: KubeflowSettings
) -> Iterator[str]:
    for parameter, directory in _push_directories(constants_of(task)):
        normalized = posixpath.normpath(directory)
        if "://" not in directory and directory.rstrip("/") != normalized.rstrip("/"):
            # Tasks that need the volume are found by the mount path in their parameters' text.
            yield f"{name}: {parameter} {directory} must be written as {normalized}"
            continue
        path = PurePosixPath(directory)
        if kubeflow.target == "vertex":
            persistent = _VERTEX_MOUNT in path.parents
            place = f"the Cloud Storage mount {_VERTEX_MOUNT}/<bucket>"
        else:
            persistent = path.is_relative_to(kubeflow.mount_path)
            place = f"the volume's mount path {kubeflow.mount_path}"
        if not persistent:
            yield (
                f"{name}: {parameter} {directory} is inside the pod and would be lost with it; "
                f"choose a directory below {place}"
            )


def _push_directories(constants: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Finds the parameters of this project's components and TFX's Pusher that name a directory.

    TFX's Pusher can also push to Cloud Storage, the only remote file system that TensorFlow
    supports without add-ons. This project's Pusher needs a local file system.
    """
    if "serving_dir" in constants:
        yield "serving_dir", constants["serving_dir"]
    filesystem = json.loads(constants.get("push_destination", "{}")).get("filesystem", {})
    directory = filesystem.get("base_directory", filesystem.get("baseDirectory"))
    if directory and not directory.startswith("gs://"):
        yield "push_destination", directory
