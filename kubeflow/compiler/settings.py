"""Typed, frozen settings of the cluster that a pipeline is compiled for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from models.definition import DATASET
from models.validation import Frozen
from pipeline import stages
from pipeline.settings import SettingsError, explain

# Kubernetes' rules for object names (RFC 1123) and for environment variables.
Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_IMAGE = re.compile(
    r"[a-z0-9][^\s@]*(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})", re.ASCII
)


def _check_immutable(image: str) -> str:
    """Rejects mutable image references, because KFP's cache compares only the reference."""
    if image.endswith(":latest") or not _IMAGE.fullmatch(image):
        raise ValueError("expected <registry>/<name> with @sha256:<digest> or :<tag>, not latest")
    return image


class Toleration(Frozen):
    """A Kubernetes toleration, which lets a stage's pod run on nodes with a matching taint."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Secret(Frozen):
    """A Kubernetes Secret.

    Attributes:
      name: the Secret's name.
      keys: environment variable for each key of the Secret.
    """

    name: Name
    keys: dict[str, Variable] = Field(min_length=1)


class Stage(Frozen):
    """Pod settings of a stage.

    Attributes:
      cpu: CPU limit, in cores.
      memory_gb: memory limit, in units of 10^9 bytes.
      gpus: number of GPUs of the type `KubeflowSettings.gpu_type`.
      retries: maximum number of retries after a failure. The backoff starts at one minute and
        doubles each time.
      cache: whether to reuse an earlier result for the same inputs, parameters and image.
      node_selector: labels that the node must have.
      tolerations: taints that the node may have.
      secrets: Secrets to expose as environment variables.
    """

    cpu: Annotated[float, Field(gt=0)] = 1
    memory_gb: Annotated[float, Field(gt=0)] = 4
    gpus: Annotated[int, Field(ge=0)] = 0
    retries: Annotated[int, Field(ge=0)] = 2
    cache: bool = True
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    secrets: tuple[Secret, ...] = ()


# DataGate and Pusher are not retried, because a retry repeats the same rejection. Baseline and
# Pusher are not cached, because the cache does not detect that the served model changed.
# ExampleGen is cached although the cache does not detect changed data either: KFP's cache keys
# contain the ids of the input artifacts (cacheutils/cache.go, GenerateCacheKey; metadata/client.go,
# RecordArtifact), so without the cache every run would train on a new artifact with the same
# examples. The runtime parameter `data_version` invalidates the cache when the data changed.
STAGE_DEFAULTS = {
    stages.DATA_GATE: Stage(retries=0),
    stages.TRAINER: Stage(cpu=2),
    stages.BASELINE: Stage(cache=False),
    stages.PUSHER: Stage(retries=0, cache=False),
}
"""This project's settings for individual stages, by component id."""


class KubeflowSettings(Frozen):
    """Settings of a cluster. `pipeline.settings.Settings` has the settings of a run.

    Attributes:
      image: image for all stages, with a digest or an immutable tag; not `latest`.
      target: kfp (Kubeflow Pipelines) or vertex (Vertex AI).
      pvc: PersistentVolumeClaim to push models to; not for Vertex AI.
      mount_path: mount path of the volume, in stages with a parameter below that path.
      gpu_type: name of the GPU resource; on Vertex AI, the accelerator type.
      image_pull_policy: None uses Kubernetes' default.
      image_pull_secrets: names of the Secrets for the image registry.
      all_stages: settings for all stages; STAGE_DEFAULTS and `stages` override them.
      stages: settings for individual stages, by component id.
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
        """Returns a stage's settings. Precedence: `stages`, STAGE_DEFAULTS, `all_stages`."""
        default = STAGE_DEFAULTS.get(name, Stage())
        layers = (self.all_stages, default, self.stages.get(name, Stage()))
        return Stage(
            **{field: getattr(layer, field) for layer in layers for field in layer.model_fields_set}
        )

    def kubernetes_only(self) -> set[str]:
        """Returns the names of explicitly set settings that Vertex AI does not support."""
        names = {"image_pull_policy", "image_pull_secrets", "pvc"} & self.model_fields_set
        for stage in (self.all_stages, *self.stages.values()):
            names |= {"node_selector", "tolerations", "secrets"} & stage.model_fields_set
        return names


def make_kubeflow_settings(*layers: Mapping[str, Any]) -> KubeflowSettings:
    """Makes settings from layers of values; a later layer overrides an earlier one.

    Raises:
      SettingsError: one line for each unknown key and each invalid value.
    """
    values = {key: value for layer in layers for key, value in layer.items()}
    if "image" not in values:
        raise SettingsError("image: required; set it to <registry>/<name>@sha256:... or :<tag>")
    try:
        return KubeflowSettings(**values)
    except ValidationError as error:
        raise explain(error, KubeflowSettings, layers) from error
