"""Tests the compiler on the whole pipeline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2
from support.golden_pipelines import ALL_OPTIONS, DIRECTORY, IMAGE, PIPELINES, compile_golden
from support.kfp_driver import fill_parameters, fingerprint, resolve_inputs
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.transform.component import Transform
from tfx.orchestration.pipeline import Pipeline
from tfx.types import Channel, standard_artifacts

from mnist_kubeflow.compiler.checks import UnsupportedPipelineError
from mnist_kubeflow.compiler.command import compile_command
from mnist_kubeflow.compiler.compile import compile_graph, compile_pipeline
from mnist_kubeflow.compiler.run_parameters import RUN_PARAMETERS
from mnist_kubeflow.compiler.settings import KubeflowSettings
from models.definition import DATASET
from pipeline import stages
from pipeline.cli import main as cli
from pipeline.settings import make_settings

KFP = KubeflowSettings(image=IMAGE)


@pytest.fixture(scope="module")
def compiled() -> str:
    return compile_pipeline(make_settings(), KFP)


@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
@pytest.mark.parametrize("name", PIPELINES)
def test_compiled_pipeline_matches_the_golden_file(name: str) -> None:
    golden = (DIRECTORY / name).read_text(encoding="utf-8")
    assert compile_golden(name) == golden, "if the change is intended, run `make golden`"


def test_tasks_are_named_after_the_stages(compiled: str) -> None:
    spec = next(yaml.safe_load_all(compiled))
    assert spec["root"]["dag"]["tasks"].keys() == set(stages.STAGES)


def test_run_parameters_except_the_data_version_are_options_of_compile() -> None:
    names = {option.name for option in compile_command.params}
    assert RUN_PARAMETERS.keys() - names == {"data_version"}


def test_compilation_is_deterministic(compiled: str) -> None:
    assert compile_pipeline(make_settings(), KFP) == compiled


@pytest.mark.parametrize("name", PIPELINES)
def test_kfp_sdk_and_protos_parse_the_golden_file(name: str) -> None:
    text = (DIRECTORY / name).read_text(encoding="utf-8")
    loaded = components.load_component_from_text(text)
    parameters = {key: value.type for key, value in loaded.component_spec.inputs.items()}
    assert parameters == {
        "data": "String",
        "data_version": "String",
        "epochs": "Integer",
        "accuracy_threshold": "Float",
    }
    spec, platform = yaml.safe_load_all(text)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())


def test_vertex_differs_only_in_serving_dir_and_platform_document(compiled: str) -> None:
    vertex = compile_pipeline(
        make_settings({"serving_dir": "/gcs/bucket/serving"}),
        KubeflowSettings(image=IMAGE, target="vertex"),
    )
    (spec,) = yaml.safe_load_all(vertex.replace("/gcs/bucket/serving", "/serving"))
    assert spec == next(yaml.safe_load_all(compiled))


def test_data_version_changes_the_cache_key(compiled: str) -> None:
    spec = next(yaml.safe_load_all(compiled))
    name = stages.EXAMPLE_GEN
    container = spec["deploymentSpec"]["executors"][f"{name}_executor"]["container"]

    def key(version: str) -> str:
        parameters = fill_parameters(spec, {"data_version": version})
        task, component = spec["root"]["dag"]["tasks"][name], spec["components"][name]
        inputs = resolve_inputs(task, component, parameters, lambda *_: {})
        return fingerprint({"inputs": inputs, "outputs": {"artifacts": {}}}, container)

    assert key("2026-10") == key("2026-10") != key("2026-11")


def test_all_options_reach_the_pods() -> None:
    text = (DIRECTORY / "all_options.yaml").read_text(encoding="utf-8")
    spec, platform = yaml.safe_load_all(text)
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(pods) == len(spec["root"]["dag"]["tasks"])
    mounted = {name for name, pod in pods.items() if "pvcMount" in pod}
    assert mounted == {
        f"{name}_executor"
        for name in (stages.EXAMPLE_GEN, stages.TRAINER, stages.BASELINE, stages.PUSHER)
    }
    assert pods["Trainer_executor"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert pods["Pusher_executor"]["secretAsEnv"][0]["secretName"] == "mnist-object-store"
    assert ALL_OPTIONS["pvc"] == pods["Pusher_executor"]["pvcMount"][0]["constant"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": "auto"}, "^data: expected tfds or bundled for a cluster, not auto"),
        ({"serving_dir": "output/serving"}, "^Baseline: serving_dir /.* is inside the pod"),
    ],
)
def test_settings_that_need_a_local_run_are_rejected(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedPipelineError, match=message):
        compile_pipeline(make_settings(values), KFP)


def test_beam_options_reach_the_containers() -> None:
    given = ["--runner=DirectRunner", "--temp_location=a b"]
    (spec, _) = yaml.safe_load_all(compile_pipeline(make_settings({"beam_args": given}), KFP))
    for executor in spec["deploymentSpec"]["executors"].values():
        assert executor["container"]["args"][-2:] == given


def test_baseline_none_removes_the_stage() -> None:
    text = compile_pipeline(make_settings({"baseline": "none"}), KFP)
    spec = next(yaml.safe_load_all(text))
    assert stages.BASELINE not in spec["root"]["dag"]["tasks"]
    assert "baseline_model" not in spec["root"]["dag"]["tasks"]["Evaluator"]["inputs"]["artifacts"]


def test_module_file_is_rejected_before_a_wheel_is_built(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.touch()
    examples = Channel(type=standard_artifacts.Examples)
    transform = Transform(
        examples=examples,
        schema=Channel(type=standard_artifacts.Schema),
        module_file=str(module),
    )
    root = tmp_path / "root"
    pipeline = Pipeline(
        "mnist", str(root), components=[StatisticsGen(examples=examples), transform]
    )
    with pytest.raises(UnsupportedPipelineError, match=r"^Transform: TFX would build module_file"):
        compile_graph(pipeline, KFP)
    assert not root.exists()


def run_command(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """Runs `mnist-pipeline` in this process and returns the exit status."""
    monkeypatch.setattr("sys.argv", ["mnist-pipeline", *args])
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    return int(exit_info.value.code or 0)


def test_command_writes_the_file_and_prints_only_its_name(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("epochs: 7\nseed: 3\n")
    (tmp_path / "cluster.toml").write_text('pvc = "models"\n[stages.Trainer]\ncpu = 6\n')
    output = tmp_path / "out.yaml"
    options = {
        "image": IMAGE,
        "output": "out.yaml",
        "epochs": 8,
        "settings": "run.yaml",
        "kubeflow-settings": "cluster.toml",
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    process = subprocess.run(
        [sys.executable, "-m", "pipeline", "compile", *given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "Wrote out.yaml\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"run.yaml", "cluster.toml", "out.yaml"}
    spec, platform = yaml.safe_load_all(output.read_text())
    assert spec["root"]["inputDefinitions"]["parameters"]["epochs"]["defaultValue"] == 8
    trainer = spec["deploymentSpec"]["executors"]["Trainer_executor"]["container"]
    assert trainer["resources"]["cpuLimit"] == 6
    assert '"seed": 3' in str(spec["root"]["dag"]["tasks"]["Trainer"])
    assert "models" in str(platform)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Error: image: required"),
        (["--image", "mnist:latest"], "Error: --image: "),
        (["--image", IMAGE, "--epochs", "0"], "Error: --epochs: "),
        (["--image", IMAGE, "--serving-dir", "/tmp"], "Error: Baseline: serving_dir /tmp"),
    ],
)
def test_command_rejects_invalid_settings_in_one_line_and_writes_nothing(
    args: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.yaml"
    assert run_command(monkeypatch, "compile", *args, "--output", str(output)) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not output.exists()


def test_command_rejects_a_local_schema_that_is_not_reviewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    schema, output = tmp_path / "schema.pbtxt", tmp_path / "out.yaml"
    schema.write_text("# UNREVIEWED\n")
    given = ["--image", IMAGE, "--schema-file", str(schema), "--output", str(output)]
    assert run_command(monkeypatch, "compile", *given) == 2
    assert "is not reviewed" in capsys.readouterr().err
    assert not output.exists()
