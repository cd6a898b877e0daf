"""The command `mnist-pipeline submit`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from mnist_kubeflow.client.compiled import SubmitUsageError, parse_parameters, read_compiled
from mnist_kubeflow.compiler.run_parameters import RUN_PARAMETERS
from pipeline.exit_status import ExitStatus

IN_CLUSTER_HOST = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
_CRON_FIELDS = 6
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _default_host() -> str | None:
    return IN_CLUSTER_HOST if "KUBERNETES_SERVICE_HOST" in os.environ else None


def _url(context: click.Context, option: click.Parameter, value: str | None) -> str:
    if value is None:
        raise click.MissingParameter(ctx=context, param=option)
    if not value.startswith(("http://", "https://")):
        raise click.BadParameter(
            f"expected a URL that starts with http:// or https://, received {value!r}"
        )
    return value


def _cron(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None or value.startswith("@") or len(value.split()) == _CRON_FIELDS:
        return value
    raise click.BadParameter(
        "expected six fields with seconds first, such as '0 0 3 * * *' (daily at 03:00 UTC), or a "
        f"macro such as @daily or @weekly, received {value!r}"
    )


def _pairs(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"expected NAME=VALUE, received {value!r}")
    return dict(value.split("=", 1) for value in values)


def _run_parameter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(RUN_PARAMETERS):
        option = f"--{name.replace('_', '-')}"
        command = click.option(option, name, help=f"Same as -p {name}=...")(command)
    return command


@click.command()
@click.argument("pipeline_file", type=_FILE)
@click.option(
    "--host",
    metavar="URL",
    envvar="KF_PIPELINES_ENDPOINT",
    show_envvar=True,
    default=_default_host,
    show_default="in a pod, the cluster's API server",
    callback=_url,
    help="Kubeflow Pipelines API server.",
)
@click.option("--namespace", help="Profile namespace in Kubeflow's multi-user mode.")
@click.option(
    "--token-file",
    type=_FILE,
    envvar="KF_PIPELINES_SA_TOKEN_PATH",
    show_envvar=True,
    show_default="the token in KF_PIPELINES_TOKEN",
    help="File that contains a bearer token. It is reread for each request.",
)
@click.option(
    "--ca-cert",
    type=_FILE,
    show_default="public certificate authorities",
    help="PEM file with the certificate authorities to trust.",
)
@click.option(
    "--experiment",
    show_default="the pipeline's name",
    help="Experiment for the run. It is created if it does not exist.",
)
@click.option(
    "--run-name",
    show_default="the pipeline's name and version, and the time",
    help="Name of the run.",
)
@_run_parameter_options
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="Runtime parameter. Repeat the option for more.",
)
@click.option(
    "--pipeline-root",
    metavar="URI",
    show_default="the cluster's pipeline root",
    help="Location for artifacts.",
)
@click.option("--service-account", help="Kubernetes ServiceAccount for the run's pods.")
@click.option(
    "--cron",
    callback=_cron,
    metavar="EXPRESSION",
    help="Create a recurring run on this schedule: six fields in UTC, seconds first. It replaces "
    "earlier recurring runs with the same name in the experiment.",
)
@click.option("--wait/--no-wait", default=True, help="Wait until the run ends.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    metavar="SECONDS",
    help="Seconds between requests for the run's state.",
)
def submit(  # noqa: PLR0913, PLR0917 - one parameter for each option
    pipeline_file: Path,
    host: str,
    namespace: str | None,
    token_file: Path | None,
    ca_cert: Path | None,
    experiment: str | None,
    run_name: str | None,
    parameters: dict[str, str],
    pipeline_root: str | None,
    service_account: str | None,
    cron: str | None,
    wait: bool,
    interval: float,
    **named: str | None,
) -> None:
    """Runs a compiled pipeline on Kubeflow Pipelines.

    The command waits until the run ends, except with --no-wait.

    \b
    Exit status (with --no-wait, 0 means that the run was accepted):
      0    model pushed, or already the newest release
      1    run failed
      2    usage error
      3    model rejected; nothing was pushed
      4    data rejected; nothing was trained
      130  interrupted; the run is stopped if its id is known
    """  # noqa: D301 - click interprets the escaped \b
    given = parameters | {name: value for name, value in named.items() if value is not None}
    try:
        pipeline = read_compiled(pipeline_file)
        typed = parse_parameters(pipeline, given)
    except SubmitUsageError as error:
        raise click.UsageError(str(error)) from error

    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    # A schedule's name has no timestamp, so that the next schedule replaces it.
    default_name = pipeline.name if cron else f"{pipeline.name} {pipeline.version} {now}"
    try:
        from mnist_kubeflow.client.api import Api
        from mnist_kubeflow.client.rest import ApiError, RestClient
        from mnist_kubeflow.client.submit import Submission
        from mnist_kubeflow.client.submit import submit as submit_pipeline

        submission = Submission(
            pipeline=pipeline,
            parameters=typed,
            experiment=experiment or pipeline.name,
            run_name=run_name or default_name,
            pipeline_root=pipeline_root,
            service_account=service_account,
            cron=cron,
        )
        try:
            api = Api(RestClient(host, token_file, ca_cert), namespace)
            status = submit_pipeline(api, submission, click.echo, wait=wait, interval=interval)
        except ApiError as error:
            click.echo(f"Error: {error}", err=True)
            status = ExitStatus.FAILED
    except KeyboardInterrupt:
        # During the imports or while stopping a run; `submit_pipeline` handles the rest.
        click.echo("Error: interrupted", err=True)
        status = ExitStatus.INTERRUPTED
    sys.exit(status)
