"""Finds parts of a compiled pipeline that the backend would reject or silently drop.

Based on commit 7b70c7b of kubeflow/pipelines (after 2.17.0).
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

# Argo's rule for names of DAG tasks; KFP hands on the names of the pipeline's tasks.
_TASK_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
# Where Vertex AI mounts Cloud Storage in each container.
_VERTEX_MOUNT = PurePosixPath("/gcs")


class UnsupportedPipelineError(SettingsError):
    """The backend would refuse the pipeline or lose its models; a line for each reason."""


def check(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> None:
    """Checks a pipeline before it is finalized.

    Raises:
      UnsupportedPipelineError: if the backend would refuse the pipeline, or would lose the models
        that it pushes.
    """
    problems = list(_problems(spec, kubeflow))
    if problems:
        raise UnsupportedPipelineError("\n".join(problems))


def _problems(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> Iterator[str]:
    tasks = tasks_of(spec)
    unknown = sorted(kubeflow.stages.keys() - tasks.keys())
    if unknown:
        yield f"stages: there is no {', '.join(unknown)}; there are {', '.join(sorted(tasks))}"
    if kubeflow.target == "vertex" and kubeflow.of_kubernetes():
        yield f"target vertex: Vertex AI has no {', '.join(sorted(kubeflow.of_kubernetes()))}"
    for name, task in sorted(tasks.items()):
        if not _TASK_NAME.fullmatch(name):
            yield (
                f"{name}: expected a name of letters, digits and hyphens, because it becomes the "
                "name of an Argo task; choose one with with_id()"
            )
        yield from _executor_problems(name, executor_of(spec, task))
        yield from _input_problems(name, task, tasks)
        yield from _serving_problems(name, task, kubeflow)


def _executor_problems(name: str, executor: Mapping[str, Any]) -> Iterator[str]:
    if "preCacheCheck" in executor.get("container", {}).get("lifecycle", {}):
        yield (
            f"{name}: Kubeflow Pipelines and the entrypoint ignore the driver that a file-based "
            "ExampleGen needs; use one that isn't file-based"
        )


def _input_problems(name: str, task: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[str]:
    for parameter, source in task.get("inputs", {}).get("parameters", {}).items():
        producer = source.get("taskOutputParameter", {}).get("producerTask")
        if producer is not None and producer not in tasks:
            yield (
                f"{name}: TFX names {producer} as the source of {parameter}, but there is no such "
                "task; replace future() by a value or an input artifact"
            )


def _serving_problems(
    name: str, task: Mapping[str, Any], kubeflow: KubeflowSettings
) -> Iterator[str]:
    for parameter, directory in _pushed_to(constants_of(task)):
        shortest = posixpath.normpath(directory)
        if "://" not in directory and directory.rstrip("/") != shortest.rstrip("/"):
            # The volume is mounted where the mount's path is found in the text.
            yield f"{name}: {parameter} {directory} must be written as {shortest}"
            continue
        path = PurePosixPath(directory)
        if kubeflow.target == "vertex":
            lasts = _VERTEX_MOUNT in path.parents
            place = f"Cloud Storage's mount, {_VERTEX_MOUNT}/<bucket>"
        else:
            lasts = path.is_relative_to(kubeflow.mount_path)
            place = f"the volume's mount, {kubeflow.mount_path}"
        if not lasts:
            yield (
                f"{name}: {parameter} {directory} is in the pod and lost with it; "
                f"choose a directory below {place}"
            )


def _pushed_to(constants: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The parameters that say where models are pushed: our components', and TFX's Pusher's.

    TFX's Pusher also writes to Cloud Storage, the only store that TensorFlow supports as installed;
    ours writes to files only.
    """
    if "serving_dir" in constants:
        yield "serving_dir", constants["serving_dir"]
    filesystem = json.loads(constants.get("push_destination", "{}")).get("filesystem", {})
    directory = filesystem.get("base_directory", filesystem.get("baseDirectory"))
    if directory and not directory.startswith("gs://"):
        yield "push_destination", directory
