"""Tests the cluster settings of `compile`."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mnist_kubeflow.compiler.settings import (
    STAGE_DEFAULTS,
    KubeflowSettings,
    Stage,
    make_kubeflow_settings,
)
from models.definition import DATASET
from pipeline import stages
from pipeline.settings import SettingsError

DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    "image", ["mnist:1.2.3", "localhost:5000/team/mnist:v1", f"registry.example/mnist{DIGEST}"]
)
def test_immutable_image_reference_is_accepted(image: str) -> None:
    assert make_kubeflow_settings({"image": image}).image == image


@pytest.mark.parametrize(
    "image", ["mnist", "mnist:latest", "localhost:5000/mnist", "mnist@sha256:abc", "", "a b:1"]
)
def test_mutable_image_reference_is_rejected(image: str) -> None:
    with pytest.raises(SettingsError, match=r"^image: .*not latest, received '"):
        make_kubeflow_settings({"image": image})


def test_image_is_required() -> None:
    with pytest.raises(SettingsError, match=r"^image: required"):
        make_kubeflow_settings({})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": "2"}, "^unknown setting replicas; known settings: image, target, pvc"),
        ({"stages": {"Trainer": {"cpus": "2"}}}, "^unknown setting stages.Trainer.cpus$"),
        ({"stages": {"Trainer": {"cpu": "0"}}}, "^stages.Trainer.cpu: .*greater than 0"),
        ({"pvc": "Serving_1"}, "^pvc: .*received 'Serving_1'"),
        ({"mount_path": "serving"}, "^mount_path: .*received 'serving'"),
        ({"mount_path": "/"}, "^mount_path: "),
        ({"target": "airflow"}, "^target: .*'kfp' or 'vertex'"),
        (
            {"all_stages": {"secrets": [{"name": "s", "keys": {"key": "NOT-A-VARIABLE"}}]}},
            "^all_stages.secrets.0.keys.key: ",
        ),
    ],
)
def test_error_for_an_invalid_value_names_the_setting(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_kubeflow_settings({"image": "mnist:1"}, values)


def test_stage_settings_override_the_stage_defaults_which_override_all_stages() -> None:
    settings = make_kubeflow_settings(
        {"image": "mnist:1"},
        # Settings files contain strings only.
        {
            "all_stages": {"cpu": "3", "retries": "7", "cache": "true"},
            "stages": {"Pusher": {"retries": "1"}},
        },
    )
    assert settings.stage("Transform").retries == 7
    assert settings.stage("Trainer").cpu == 2
    assert settings.stage("DataGate").retries == 0
    pusher = settings.stage("Pusher")
    assert (pusher.cpu, pusher.retries, pusher.cache) == (3, 1, False)


def test_stages_on_the_volume_are_not_cached_and_gates_are_not_retried() -> None:
    settings = KubeflowSettings(image="mnist:1")
    assert not settings.stage(stages.BASELINE).cache
    assert not settings.stage("Pusher").cache
    assert settings.stage("Evaluator").cache
    assert settings.stage("DataGate").retries == settings.stage("Pusher").retries == 0


def test_stage_defaults_are_for_stages_of_the_pipeline() -> None:
    assert STAGE_DEFAULTS.keys() <= set(stages.STAGES)


@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
@pytest.mark.parametrize(
    ("heading", "model"), [("setting", KubeflowSettings), ("of a stage", Stage)]
)
def test_readme_lists_each_setting_with_its_default(heading: str, model: type[BaseModel]) -> None:
    readme = (Path(__file__).parents[3] / "kubeflow" / "README.md").read_text(encoding="utf-8")
    table = readme.split(f"| {heading} | default |", 1)[1].split("\n\n", 1)[0]
    cells = re.findall(r"^\| `(\w+)` \|([^|]*)\|", table, re.MULTILINE)
    rows = {name: value.strip().strip("`") for name, value in cells}
    assert rows == {name: _shown(field.default) for name, field in model.model_fields.items()}


def _shown(default: object) -> str:
    """Formats a default as YAML; "" if there is none or the README explains it elsewhere."""
    if default in (None, PydanticUndefined, Stage()):
        return ""
    return {bool: "true", tuple: "[]"}.get(type(default), str(default))
