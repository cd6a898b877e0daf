"""Golden files: compiled pipelines that tests compare with. `make golden` regenerates them.

A changed golden file means that clusters run a different pipeline, so review it like code.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pipeline import stages
from support.readme_settings import rewrite

DIRECTORY = Path(__file__).parents[1] / "kubeflow" / "compiler" / "golden"
IMAGE = "registry.example/mnist@sha256:" + "0123456789abcdef" * 4

ALL_OPTIONS: dict[str, Any] = {
    "pvc": "models",
    "mount_path": "/mnt/models",
    "image_pull_policy": "IfNotPresent",
    "image_pull_secrets": ["registry"],
    "all_stages": {
        "retries": 1,
        "node_selector": {"pool": "ml"},
        "secrets": [
            {"name": "mnist-object-store", "keys": {"AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID"}}
        ],
    },
    "stages": {
        stages.TRAINER: {
            "cpu": 3.5,
            "memory_gb": 16,
            "gpus": 1,
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "spot", "value": "yes"},
            ],
        },
        stages.EXAMPLE_GEN: {"cache": False},
    },
}

# Run settings and cluster settings by file name.
PIPELINES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults.yaml": ({}, {}),
    "all_options.yaml": (
        {
            "data": "bundled",
            "data_dir": "/mnt/models/tensorflow_datasets",
            "limit": 1000,
            "epochs": 3,
            "accuracy_threshold": "0.975",
            "backup_dir": "/mnt/models/backups",
            "schema_file": "/opt/schema.pbtxt",
        },
        ALL_OPTIONS,
    ),
}


def compile_golden(name: str) -> str:
    """Compiles one of PIPELINES and masks TFX's version, which differs between stacks."""
    from tfx import version

    from mnist_kubeflow.compiler.compile import compile_pipeline
    from mnist_kubeflow.compiler.settings import make_kubeflow_settings
    from pipeline.settings import make_settings

    run_settings, cluster_settings = PIPELINES[name]
    text = compile_pipeline(
        make_settings(run_settings), make_kubeflow_settings({"image": IMAGE}, cluster_settings)
    )
    return text.replace(f"sdkVersion: tfx-{version.__version__}\n", "sdkVersion: tfx-<version>\n")


def write_all() -> None:
    """Writes all golden files; TFX's output is suppressed."""
    from pipeline.cli.console import output_to_log_file

    with tempfile.TemporaryDirectory() as folder, output_to_log_file(Path(folder) / "log", False):
        for file in PIPELINES:
            (DIRECTORY / file).write_text(compile_golden(file), encoding="utf-8")
    rewrite()


if __name__ == "__main__":
    write_all()
