"""The command `mnist-pipeline submit`; the SDK, which takes seconds, is imported when it runs."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path

import click

from mnist_kubeflow.client.compiled import SubmitUsageError, parse_parameters, read_compiled
from pipeline.exit_status import ExitStatus

_CRON_FIELDS = 6


def _cron(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None or value.startswith("@") or len(value.split()) == _CRON_FIELDS:
        return value
    raise click.BadParameter(
        f"expected six fields, seconds first, as in '0 0 3 * * *' (daily at 3), or one of @daily, "
        f"@weekly and their like, received {value!r}"
    )


def _pairs(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"expected NAME=VALUE, received {value!r}")
    return dict(value.split("=", 1) for value in values)


@click.command()
@click.argument("pipeline_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--host", metavar="URL", help="API server  [default: KF_PIPELINES_ENDPOINT, else the cluster's]"
)
@click.option("--namespace", help="Profile namespace, in Kubeflow's multi-user mode.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Bearer token, read anew for each request  [default: the file that "
    "KF_PIPELINES_SA_TOKEN_PATH names, else the token in KF_PIPELINES_TOKEN]",
)
@click.option(
    "--ca-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificates of the authorities to trust (PEM)  [default: the public ones]",
)
@click.option("--experiment", help="Made if there is none  [default: the pipeline's name]")
@click.option("--run-name", help="[default: the pipeline's name and version, and the time]")
@click.option("--epochs", help="Same as -p epochs=...")
@click.option("--accuracy-threshold", help="Same as -p accuracy_threshold=...")
@click.option("--data", help="Same as -p data=...")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="Runtime parameter; may be given more than once.",
)
@click.option("--pipeline-root", metavar="URI", help="Where artifacts go  [default: the cluster's]")
@click.option("--service-account", help="Kubernetes ServiceAccount of the run's pods.")
@click.option(
    "--cron",
    callback=_cron,
    metavar="EXPRESSION",
    help="Make a recurring run, in UTC, six fields, seconds first; it replaces those of the same "
    "experiment and run name.",
)
@click.option("--wait/--no-wait", default=True, help="Wait for the run's end  [default: wait]")
@click.option(
    "--interval",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks at the run.",
)
def submit(  # noqa: PLR0913, PLR0917 - one for each option
    pipeline_file: Path,
    host: str | None,
    namespace: str | None,
    token_file: Path | None,
    ca_cert: Path | None,
    experiment: str | None,
    run_name: str | None,
    epochs: str | None,
    accuracy_threshold: str | None,
    data: str | None,
    parameters: dict[str, str],
    pipeline_root: str | None,
    service_account: str | None,
    cron: str | None,
    wait: bool,
    interval: float,
) -> None:
    """Runs a compiled pipeline on Kubeflow Pipelines, and waits for its end.

    \b
    Exit status (for a run that is not waited for: 0 when it was accepted):
      0    the model is pushed, or the newest release already holds it
      1    something failed
      2    wrong usage
      3    the model did not pass its gate: nothing was pushed
      4    the data did not pass theirs: nothing was trained
      130  interrupted: a run whose id is known was told to stop
    """  # noqa: D301 - click wants the character
    named = {"epochs": epochs, "accuracy_threshold": accuracy_threshold, "data": data}
    given = parameters | {name: value for name, value in named.items() if value is not None}
    try:
        pipeline = read_compiled(pipeline_file)
        typed = parse_parameters(pipeline, given)
    except SubmitUsageError as error:
        raise click.UsageError(str(error)) from error

    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    # A schedule keeps its name, so that the next one takes its place.
    default_name = pipeline.name if cron else f"{pipeline.name} {pipeline.version} {now}"
    try:
        from mnist_kubeflow.client.api import Api, ApiError
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
            api = Api(host, namespace, token_file, ca_cert)
            status = submit_pipeline(api, submission, click.echo, wait=wait, interval=interval)
        except ApiError as error:
            click.echo(f"Error: {error}", err=True)
            status = ExitStatus.FAILED
    except KeyboardInterrupt:
        # Before anything is sent, or while a run is told to stop: else `submit_pipeline` says more.
        click.echo("Error: interrupted", err=True)
        status = ExitStatus.INTERRUPTED
    sys.exit(status)
