"""The command `mnist-pipeline compile`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from mnist_kubeflow.compiler.settings import KubeflowSettings, make_kubeflow_settings
from models.definition import DATASET
from pipeline.cli.console import output_to_log_file
from pipeline.cli.options import given_options, settings_options
from pipeline.settings import (
    SCHEMA_FILE,
    Settings,
    check_schema,
    make_settings,
    read_settings_file,
)

_CLUSTER_OPTIONS = ("image", "target", "pvc")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _default(name: str) -> str:
    return f"  [default: {KubeflowSettings.model_fields[name].default}]"


@click.command("compile")
@click.option("--image", help="Image for all stages: <registry>/<name>@sha256:... or :<tag>.")
@click.option("--target", metavar="kfp|vertex", help=f"Backend to compile for.{_default('target')}")
@click.option("--pvc", help=f"PersistentVolumeClaim to push models to.{_default('pvc')}")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(f"{DATASET.name}-pipeline.yaml"),
    help="File to write.",
)
@click.option(
    "--settings",
    "settings_file",
    type=_FILE,
    help="YAML or TOML file with run settings. Options override the file.",
)
@click.option(
    "--kubeflow-settings",
    "kubeflow_file",
    type=_FILE,
    help="YAML or TOML file with cluster settings; see kubeflow/README.md.",
)
@settings_options
def compile_command(
    output: Path,
    settings_file: Path | None,
    kubeflow_file: Path | None,
    **options: str | None,
) -> None:
    """Compiles the pipeline for Kubeflow Pipelines or Vertex AI.

    Accepts the options of `run`, with different defaults: data is tfds, serving-dir is the volume,
    schema-file is the schema in the image, and backup-dir is empty.

    The options data, epochs and accuracy-threshold set the defaults of runtime parameters. There is
    one more runtime parameter, data_version. Change its value whenever the data changes, because
    the cache of Kubeflow Pipelines can't detect changed data.
    """
    cluster = given_options({name: options.pop(name) for name in _CLUSTER_OPTIONS})
    given = given_options(options)
    settings = make_settings(read_settings_file(settings_file) if settings_file else {}, given)
    # A schema that exists only in the image can't be checked here.
    schema_file = settings.schema_file or SCHEMA_FILE
    if schema_file.exists():
        check_schema(schema_file)
    kubeflow = make_kubeflow_settings(
        read_settings_file(kubeflow_file) if kubeflow_file else {}, cluster
    )
    output.write_text(_compile_quietly(settings, kubeflow), encoding="utf-8")
    click.echo(f"Wrote {output}")


def _compile_quietly(settings: Settings, kubeflow: KubeflowSettings) -> str:
    """Compiles without the output that TensorFlow and other libraries print on import."""
    with tempfile.TemporaryDirectory() as folder, output_to_log_file(Path(folder) / "log", False):
        from mnist_kubeflow.compiler.compile import compile_pipeline

        return compile_pipeline(settings, kubeflow)
