"""`mnist-pipeline serve`: serves the live release on a web page and over REST and gRPC."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from models.definition import DATASET
from pipeline.cli.options import directory_option


@click.command()
@directory_option("serving_dir", "Directory watched for new releases.")
@click.option(
    "--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all interfaces."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8501, help="HTTP port; 0 for any.")
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="gRPC port, usually 8500; 0 disables gRPC.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    default=64,
    help="Largest number of examples in a batch; 1 disables batching.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(1),
    default=256,
    help="Largest number of queued requests; more are rejected with status 503.",
)
@click.option("--max-body-mib", type=click.IntRange(1), default=8, help="Largest body.")
@click.option(
    "--max-instances",
    type=click.IntRange(1),
    default=1024,
    help="Largest number of examples in a request.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=16_000_000,
    help="Largest total number of pixels in the pictures of a request.",
)
@click.option(
    "--poll-seconds",
    type=click.FloatRange(0.05),
    default=1.0,
    help="Seconds between checks for new releases.",
)
def serve(
    serving_dir: Path, host: str, port: int, grpc_port: int, poll_seconds: float, **limits: int
) -> None:
    """Serves the live release on a web page and over REST and gRPC.

    New releases and rollbacks are served without a restart. The server has no authentication and no
    encryption. On untrusted networks, keep the default --host and put a proxy in front.

    \b
    Signatures for images, over REST and gRPC:
      pictures        any picture, prepared as on the page; only in this server
      serving_images  PNG or JPEG in the form of the training data (picture_form
                      in /api/model)
      predict_images  arrays of pixels in [0, 1], in the form of the training data

    \b
    Exit status:
      0    stopped by SIGTERM
      1    the server can't listen on the address
      2    usage error
      130  stopped by Ctrl+C
    """  # noqa: D301 - click interprets the escaped \b
    from pipeline.serving.limits import Limits
    from pipeline.serving.server import Address, serve_model

    checked = Limits(
        body_bytes=limits["max_body_mib"] * 2**20,
        instances=limits["max_instances"],
        pixels=limits["max_pixels"],
        batch=limits["max_batch"],
        waiting=limits["max_waiting"],
    )
    address = Address(host, port, grpc_port)
    sys.exit(serve_model(serving_dir / DATASET.name, address, poll_seconds, checked))
