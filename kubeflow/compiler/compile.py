"""Compiles the pipeline for Kubeflow Pipelines or Vertex AI."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)
from tfx.orchestration.pipeline import Pipeline

from mnist_kubeflow.compiler.finalize import ENTRYPOINT, UnsupportedPipelineError, finalize
from mnist_kubeflow.compiler.settings import KubeflowSettings
from pipeline.graph import create_pipeline
from pipeline.settings import Settings

SCHEMA_IN_IMAGE = Path("/app/pipeline/schema.pbtxt")


def compile_pipeline(settings: Settings, kubeflow: KubeflowSettings) -> str:
    """Compiles the pipeline that LocalDagRunner runs, too.

    Args:
      settings: those of a run. What was not given gets what suits a cluster, see
        `cluster_settings`.
      kubeflow: about the cluster.

    Returns:
      YAML: the pipeline spec and, for Kubeflow Pipelines, the platform spec as a second document.
      The same settings give the same text.

    Raises:
      UnsupportedPipelineError: if the backend would refuse the pipeline, or it would lose the
        models that it pushes.
    """
    chosen = cluster_settings(settings, kubeflow)
    if chosen.data == "auto":
        raise UnsupportedPipelineError("data: expected tfds or bundled for a cluster, not auto")
    # TFX makes a folder for local ML Metadata there; a cluster's root is chosen for each run.
    with tempfile.TemporaryDirectory() as root:
        local = chosen.model_copy(update={"pipeline_root": Path(root)})
        return compile_graph(create_pipeline(local), kubeflow)


def cluster_settings(settings: Settings, kubeflow: KubeflowSettings) -> Settings:
    """Replaces the defaults that make no sense outside this machine; what was given stays."""
    defaults = {
        "data": "tfds",
        "baseline": "pushed",
        "serving_dir": Path(kubeflow.mount_path),
        "backup_dir": "",
        "schema_file": SCHEMA_IN_IMAGE,
    }
    missing = defaults.keys() - settings.model_fields_set
    return settings.model_copy(update={name: defaults[name] for name in missing})


def compile_graph(pipeline: Pipeline, kubeflow: KubeflowSettings) -> str:
    """Compiles any pipeline that has the tasks of `finalize.RUN_PARAMETERS`.

    Raises:
      UnsupportedPipelineError: as `compile_pipeline`.
    """
    problems = list(_problems(pipeline))
    if problems:
        raise UnsupportedPipelineError("\n".join(problems))
    config = KubeflowV2DagRunnerConfig(
        default_image=kubeflow.image,
        default_commands=list(ENTRYPOINT),
        use_pipeline_spec_2_1=True,
    )
    job = KubeflowV2DagRunner(config).run(pipeline, write_out=False)
    spec, platform = finalize(job["pipelineSpec"], kubeflow)
    return to_yaml(spec, platform)


def _problems(pipeline: Pipeline) -> Iterator[str]:
    """What has to be seen before TFX compiles: it raises errors of its own, or builds wheels."""
    for node in pipeline.components:
        if isinstance(node, Resolver):
            yield (
                f"{node.id}: there are no Resolvers on Kubeflow Pipelines; "
                "set baseline to pushed or none"
            )
        if node.exec_properties.get("module_file"):
            yield (
                f"{node.id}: module_file would be built into a wheel in the pipeline root of this "
                "machine; name a function that the image has, as run_fn and preprocessing_fn do"
            )


def to_yaml(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> str:
    """Writes the documents, with sorted keys; text of several lines stays readable."""
    documents = [document for document in (spec, platform) if document]
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=True, width=1_000_000)
    return f"# Made by `mnist-pipeline compile`: change the settings, and make it anew.\n{text}"


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as it is, and nothing as a reference to what was before."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's interface
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
