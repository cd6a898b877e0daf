"""Settings of the cluster that a pipeline is compiled for: typed, frozen, and checked at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from models.definition import DATASET
from models.validation import Frozen
from pipeline import stages
from pipeline.settings import SettingsError, explain

# Kubernetes' rules for names of objects (RFC 1123), and for environment variables.
Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_IMAGE = re.compile(
    r"[a-z0-9][^\s@]*(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})", re.ASCII
)


def _check_immutable(image: str) -> str:
    """KFP's cache knows an image by its name only, so the name must always mean the same image."""
    if image.endswith(":latest") or not _IMAGE.fullmatch(image):
        raise ValueError("expected <registry>/<name> with @sha256:<digest> or :<tag>, not latest")
    return image


class Toleration(Frozen):
    """A Kubernetes toleration: a taint of nodes that a stage's pod may run on."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Secret(Frozen):
    """A Kubernetes Secret, and the environment variables that hold the values of its keys."""

    name: Name
    keys: dict[str, Variable] = Field(min_length=1)


class Stage(Frozen):
    """How the pods of a stage run.

    Attributes:
      cpu: limit of processors.
      memory_gb: limit of memory, in units of 10^9 bytes.
      gpus: number of GPUs, of the type `KubeflowSettings.gpu_type`.
      retries: largest number of retries after a failure; the pauses double, from a minute on.
      cache: whether to reuse an earlier result for the same inputs, parameters and image.
      node_selector: labels that the node must have.
      tolerations: taints that the node may have.
      secrets: Secrets for the environment.
    """

    cpu: Annotated[float, Field(gt=0)] = 1
    memory_gb: Annotated[float, Field(gt=0)] = 4
    gpus: Annotated[int, Field(ge=0)] = 0
    retries: Annotated[int, Field(ge=0)] = 2
    cache: bool = True
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    secrets: tuple[Secret, ...] = ()


# A rejection stays the same when it is retried. What is served can change without the cache's
# knowledge. So can the data, but ExampleGen is cached: run again, even the same examples are an
# artifact with another id, and KFP's cache keys hold the ids of inputs (cacheutils/cache.go,
# GenerateCacheKey; metadata/client.go, RecordArtifact), so that each run would train. The run
# parameter `data_version` tells the cache that the data changed.
OF_STAGES = {
    stages.DATA_GATE: Stage(retries=0),
    stages.TRAINER: Stage(cpu=2),
    stages.BASELINE: Stage(cache=False),
    stages.PUSHER: Stage(retries=0, cache=False),
}
"""This project's own settings of stages, by id."""


class KubeflowSettings(Frozen):
    """The settings of `compile`, besides the settings of a run.

    Attributes:
      image: image of all stages, with a digest or a tag that never moves; not `latest`.
      target: Kubeflow Pipelines, or Vertex AI.
      pvc: PersistentVolumeClaim that models are pushed to; not for Vertex AI.
      mount_path: where the volume is mounted in the stages that need it.
      gpu_type: name of the GPU resource; on Vertex AI, type of the accelerator.
      image_pull_policy: None leaves the choice to Kubernetes.
      image_pull_secrets: names of the Secrets for the image's registry.
      all_stages: defaults of all stages; OF_STAGES and `stages` override it.
      stages: settings of single stages, by id.
    """

    image: Annotated[str, AfterValidator(_check_immutable)]
    target: Literal["kfp", "vertex"] = "kfp"
    pvc: Name = f"{DATASET.name}-serving"
    mount_path: Annotated[str, StringConstraints(pattern=r"^(/[^/\s]+)+$")] = "/serving"
    gpu_type: str = "nvidia.com/gpu"
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: tuple[Name, ...] = ()
    all_stages: Stage = Stage()
    stages: dict[str, Stage] = {}

    def stage(self, name: str) -> Stage:
        """Settings of one stage: `stages` overrides OF_STAGES, which overrides `all_stages`."""
        layers = (self.all_stages, OF_STAGES.get(name, Stage()), self.stages.get(name, Stage()))
        return Stage(
            **{field: getattr(layer, field) for layer in layers for field in layer.model_fields_set}
        )

    def of_kubernetes(self) -> set[str]:
        """Names of the settings that were given and that only Kubernetes has."""
        chosen = {"image_pull_policy", "image_pull_secrets", "pvc"} & self.model_fields_set
        for stage in (self.all_stages, *self.stages.values()):
            chosen |= {"node_selector", "tolerations", "secrets"} & stage.model_fields_set
        return chosen


def make_kubeflow_settings(*layers: Mapping[str, Any]) -> KubeflowSettings:
    """Makes settings from layers of values; a later layer overrides an earlier one.

    Raises:
      SettingsError: one line for each unknown key and each value that breaks its rule.
    """
    values = {key: value for layer in layers for key, value in layer.items()}
    if "image" not in values:
        raise SettingsError("image: name the image of the stages, <registry>/<name>@sha256:...")
    try:
        return KubeflowSettings(**values)
    except ValidationError as error:
        raise explain(error, KubeflowSettings, layers) from error
