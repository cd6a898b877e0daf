"""`mnist-pipeline serve`: the newest release behind a page and a REST interface."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_MODEL_NAME = "mnist"


@click.command()
@click.option(
    "--serving-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("output/serving"),
    show_default=True,
    help="Where models are pushed to; it is followed.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for all interfaces.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="0: any that is free.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Examples of several requests in one call of the model; 1: none are joined.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Requests that may wait for the model; further ones get status 503.",
)
@click.option(
    "--max-body-mib",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Longest body of a request.",
)
@click.option(
    "--max-instances",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    help="Examples in one request.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=4_000_000,
    show_default=True,
    help="Of all images in one request.",
)
@click.option(
    "--poll-seconds",
    type=click.FloatRange(0.05),
    default=1.0,
    show_default=True,
    help="Between two looks for a new version.",
)
def serve(serving_dir: Path, host: str, port: int, poll_seconds: float, **limits: int) -> None:
    """Serves the newest release: a page to draw digits on, and TensorFlow Serving's REST API.

    New pushes and rollbacks are followed without a restart. There is no login: leave --host as it
    is, or put a proxy in front.

    \b
    Exit status:
      0    ended by SIGTERM
      1    the address can't be used
      2    wrong usage
      130  ended by Ctrl+C
    """  # noqa: D301 - click wants the character
    from pipeline.serving.limits import Limits
    from pipeline.serving.server import ServerSettings, serve_model

    settings = ServerSettings(
        serving_dir=serving_dir,
        model_name=_MODEL_NAME,
        host=host,
        port=port,
        poll_seconds=poll_seconds,
        limits=Limits(
            body_bytes=limits["max_body_mib"] * 2**20,
            instances=limits["max_instances"],
            pixels=limits["max_pixels"],
            batch=limits["max_batch"],
            waiting=limits["max_waiting"],
        ),
    )
    sys.exit(serve_model(settings))
