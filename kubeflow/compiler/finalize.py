"""Turns the spec that TFX compiles into one that KFP can run, without importing TFX.

Based on kubeflow/pipelines at commit 7b70c7b (after 2.17.0).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import yaml

from mnist_kubeflow.compiler.checks import check
from mnist_kubeflow.compiler.platform_spec import platform_spec
from mnist_kubeflow.compiler.run_parameters import add_run_parameters
from mnist_kubeflow.compiler.settings import KubeflowSettings, Stage
from mnist_kubeflow.compiler.spec import Spec, component_of, executor_of, tasks_of

ENTRYPOINT = ("python", "-m", "mnist_kubeflow.entrypoint")
# KFP's own artifact types, which its UI can show (kfp/dsl/types/artifact_types.py).
_KFP_TYPE_PREFIX = "system."
_KFP_TYPE_VERSION = "0.0.1"
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"


def finalize(spec: Mapping[str, Any], kubeflow: KubeflowSettings) -> tuple[Spec, Spec]:
    """Adds runtime parameters, resources, retries, caching and the entrypoint to a pipeline.

    Args:
      spec: output of KubeflowV2DagRunner with `use_pipeline_spec_2_1`; not modified.
      kubeflow: settings of the cluster.

    Returns:
      The pipeline spec and the platform spec, which is empty for Vertex AI.

    Raises:
      UnsupportedPipelineError: the backend would reject the pipeline, or pushed models would be
        lost with the pod.
    """
    check(spec, kubeflow)
    result = copy.deepcopy(dict(spec))
    add_run_parameters(result)
    for name, task in tasks_of(result).items():
        _finalize_task(result, task, kubeflow.stage(name), kubeflow)
    return result, platform_spec(result, kubeflow) if kubeflow.target == "kfp" else {}


def _finalize_task(spec: Spec, task: Spec, stage: Stage, kubeflow: KubeflowSettings) -> None:
    task["cachingOptions"] = {"enableCache": stage.cache}
    if stage.retries:
        task["retryPolicy"] = {
            "maxRetryCount": stage.retries,
            "backoffDuration": "60s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": "3600s",
        }
    component = component_of(spec, task)
    _use_schema_titles(component)
    container = executor_of(spec, task).get("container")
    if container is None:
        return
    container["command"] = list(ENTRYPOINT)
    container["image"] = kubeflow.image
    container["resources"] = _resources(stage, kubeflow.gpu_type)
    definitions = component.get("inputDefinitions", {})
    args = container["args"]
    args[args.index(_INPUTS_SPEC) + 1] = json.dumps(definitions, indent=2, sort_keys=True)


def _use_schema_titles(component: Mapping[str, Any]) -> None:
    """Replaces the instance schema of outputs with KFP's own types by a schema title.

    TFX writes an instance schema, which the launcher treats as a custom type even if its title is
    one of KFP's types (`getArtifactSchema` in component/launcher_v2.go).
    """
    for output in component.get("outputDefinitions", {}).get("artifacts", {}).values():
        schema = yaml.safe_load(output["artifactType"].get("instanceSchema", "{}"))
        if schema.get("title", "").startswith(_KFP_TYPE_PREFIX):
            output["artifactType"] = {
                "schemaTitle": schema["title"],
                "schemaVersion": _KFP_TYPE_VERSION,
            }


def _resources(stage: Stage, gpu_type: str) -> Spec:
    resources: Spec = {"cpuLimit": stage.cpu, "memoryLimit": stage.memory_gb}
    if stage.gpus:
        resources["accelerator"] = {"type": gpu_type, "count": str(stage.gpus)}
    return resources
