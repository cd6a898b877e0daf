"""What a compiled pipeline can be told about the cluster: typed, frozen, and checked at once."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from pipeline.settings import SettingsError, explain

# Kubernetes' names of objects (RFC 1123), and of environment variables.
Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_IMAGE = re.compile(
    r"[a-z0-9][^\s@]*(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})", re.ASCII
)


def _never_moves(image: str) -> str:
    """KFP's cache knows an image by its name only, so what a name stands for must not change."""
    if image.endswith(":latest") or not _IMAGE.fullmatch(image):
        raise ValueError("expected <registry>/<name> with @sha256:<digest> or :<tag>, not latest")
    return image


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Frozen):
    """A taint of nodes that a stage's pod may run on, as Kubernetes has it."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Secret(_Frozen):
    """Keys of a Kubernetes Secret, and the environment variables that hold their values."""

    name: Name
    keys: dict[str, Variable] = Field(min_length=1)


class Stage(_Frozen):
    """How the pods of a stage run.

    Attributes:
      cpu: processors, at most.
      memory_gb: memory in units of 10^9 bytes, at most.
      gpus: of the type that `KubeflowSettings.gpu_type` names.
      retries: how often it is tried again after a failure; pauses double, from a minute on.
      cache: whether an earlier result for the same inputs, parameters and image is taken.
      node_selector: labels that its node must have.
      tolerations: taints that its node may have.
      secrets: for its environment.
    """

    cpu: Annotated[float, Field(gt=0)] = 1
    memory_gb: Annotated[float, Field(gt=0)] = 4
    gpus: Annotated[int, Field(ge=0)] = 0
    retries: Annotated[int, Field(ge=0)] = 2
    cache: bool = True
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    secrets: tuple[Secret, ...] = ()


# A refusal is the same the next time. What is served can change without the cache's knowledge.
# So can the data, but ImageExampleGen is cached: made anew, even the same examples are an artifact
# with another id, and KFP's cache keys hold the ids of inputs (cacheutils/cache.go,
# GenerateCacheKey; metadata/client.go, RecordArtifact), so that each run would train. That the data
# has changed is what the run's parameter `data_version` is for.
_OF_STAGES = {
    "DataGate": Stage(retries=0),
    "Trainer": Stage(cpu=2),
    "PushedBaseline": Stage(cache=False),
    "Pusher": Stage(retries=0, cache=False),
}


class KubeflowSettings(_Frozen):
    """Everything that `compile` can be told beyond what a run can be told.

    Attributes:
      image: what all stages run in, with a digest or a tag that never moves; not `latest`.
      target: Kubeflow Pipelines, or Vertex AI.
      pvc: the PersistentVolumeClaim that models are pushed to; not for Vertex AI.
      mount_path: where the stages that need it have it.
      gpu_type: name of the resource; on Vertex AI that of the accelerator.
      image_pull_policy: Kubernetes' own choice by default.
      image_pull_secrets: names of the Secrets for the image's registry.
      all_stages: for those stages that neither `stages` nor this project says otherwise.
      stages: for some, by name.
    """

    image: Annotated[str, AfterValidator(_never_moves)]
    target: Literal["kfp", "vertex"] = "kfp"
    pvc: Name = "mnist-serving"
    mount_path: Annotated[str, StringConstraints(pattern=r"^(/[^/\s]+)+$")] = "/serving"
    gpu_type: str = "nvidia.com/gpu"
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: tuple[Name, ...] = ()
    all_stages: Stage = Stage()
    stages: dict[str, Stage] = {}

    def stage(self, name: str) -> Stage:
        """What holds for a stage: its own settings, then this project's, then those of all."""
        layers = (self.all_stages, _OF_STAGES.get(name, Stage()), self.stages.get(name, Stage()))
        return Stage(
            **{field: getattr(layer, field) for layer in layers for field in layer.model_fields_set}
        )

    def of_kubernetes(self) -> set[str]:
        """Names of what was given that only Kubernetes has."""
        chosen = {"image_pull_policy", "image_pull_secrets", "pvc"} & self.model_fields_set
        for stage in (self.all_stages, *self.stages.values()):
            chosen |= {"node_selector", "tolerations", "secrets"} & stage.model_fields_set
        return chosen


def make_kubeflow_settings(*layers: dict[str, Any]) -> KubeflowSettings:
    """Makes settings from layers of values; a later layer wins over an earlier one.

    Raises:
      SettingsError: one line for each unknown key and each value that breaks its rule.
    """
    values = {key: value for layer in layers for key, value in layer.items()}
    if "image" not in values:
        raise SettingsError("image: say what the stages run in, as <registry>/<name>@sha256:...")
    try:
        return KubeflowSettings(**values)
    except ValidationError as error:
        raise explain(error, KubeflowSettings) from error
