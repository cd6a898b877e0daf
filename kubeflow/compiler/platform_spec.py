"""Builds the PlatformSpec, the second document of a compiled pipeline, which configures the pods.

The keys follow `kubernetes_executor_config.proto`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mnist_kubeflow.compiler.settings import KubeflowSettings, Secret, Stage
from mnist_kubeflow.compiler.spec import Spec, component_of, constants_of, tasks_of


def platform_spec(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> Spec:
    """Builds the PlatformSpec of a finalized pipeline."""
    executors = {
        component_of(spec, task)["executorLabel"]: pod
        for name, task in tasks_of(spec).items()
        if (pod := _pod(task, kubeflow.stage(name), kubeflow))
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _pod(task: Mapping[str, Any], stage: Stage, kubeflow: KubeflowSettings) -> Spec:
    """The KubernetesExecutorConfig of a task, without empty fields."""
    volume = {**_named(kubeflow.pvc, "pvcNameParameter"), "constant": kubeflow.pvc}
    config = {
        "imagePullPolicy": kubeflow.image_pull_policy,
        "imagePullSecret": [_secret_name(name) for name in kubeflow.image_pull_secrets],
        "nodeSelector": {"labels": dict(stage.node_selector)} if stage.node_selector else None,
        "tolerations": [
            _without_empty(toleration.model_dump()) for toleration in stage.tolerations
        ],
        "secretAsEnv": [_secret(secret) for secret in stage.secrets],
        "pvcMount": [{**volume, "mountPath": kubeflow.mount_path}]
        if _needs_volume(task, kubeflow.mount_path)
        else None,
    }
    return _without_empty(config)


def _without_empty(config: Spec) -> Spec:
    return {key: value for key, value in config.items() if value}


def _secret(secret: Secret) -> Spec:
    pairs = [{"secretKey": key, "envVar": variable} for key, variable in secret.keys.items()]
    return {**_secret_name(secret.name), "keyToEnv": pairs, "optional": False}


def _secret_name(name: str) -> Spec:
    return {**_named(name, "secretNameParameter"), "secretName": name}


def _named(name: str, parameter: str) -> Spec:
    """Returns a name in the form that newer backends read; older ones read the plain field."""
    return {parameter: {"runtimeValue": {"constant": name}}}


def _needs_volume(task: Mapping[str, Any], mount_path: str) -> bool:
    """Whether a parameter, or a JSON value in a parameter, is a path on the volume."""
    path = re.compile(rf"(^|\"){re.escape(mount_path)}($|/|\")")
    return any(path.search(value) for value in constants_of(task).values())
