"""Runs the server until a signal stops it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import warnings
from pathlib import Path

import click
import uvicorn

from components.releases.store import ReleaseStore
from pipeline.exit_status import ExitStatus
from pipeline.serving.app import make_app
from pipeline.serving.batching import Batcher
from pipeline.serving.limits import Limits
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_watcher import ModelWatcher
from pipeline.serving.service import Service

_log = logging.getLogger("pipeline.serving")
_HEADER_BYTES = 32 * 2**10
_KEEP_ALIVE_SECONDS = 65  # Longer than the usual 60 of load balancers, which keep connections, too.
_SHUTDOWN_SECONDS = 20
_CONNECTIONS = 1000


def serve_model(
    model_dir: Path, host: str, port: int, poll_seconds: float, limits: Limits
) -> ExitStatus:
    """Serves until SIGTERM or SIGINT, and then finishes open requests.

    Args:
      model_dir: of the releases; its name is the model's.
      host: name or address to listen on.
      port: to listen on; 0 chooses a free one.
      poll_seconds: time between two looks for a new release.
      limits: of the server.

    Returns:
      The exit status: 0 after SIGTERM, INTERRUPTED after SIGINT, FAILED if the address can't be
      used, which is logged.
    """
    _be_quiet()
    try:
        listener = _listen(host, port)
    except OSError as error:
        _log.error(
            "Can't listen on %s port %d: %s. Choose another with --host and --port.",
            host,
            port,
            os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror,
        )
        return ExitStatus.FAILED
    metrics = Metrics()
    watcher = ModelWatcher(ReleaseStore(model_dir), poll_seconds, metrics)
    batcher = Batcher(limits.batch, limits.waiting, metrics.batch_rows.observe)
    service = Service(model_dir.name, limits, metrics, watcher, batcher)
    with contextlib.closing(listener):
        return _run(service, listener)


def _run(service: Service, listener: socket.socket) -> ExitStatus:
    config = uvicorn.Config(
        make_app(service),
        loop="uvloop",
        http="h11",
        h11_max_incomplete_event_size=_HEADER_BYTES,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    # For the moment before Uvicorn has its own handler, and because Uvicorn raises the signal
    # that stopped it again.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    service.watcher.start(
        lambda: click.echo(f"Serving on http://{shown}:{port}/ (press Ctrl+C to stop)")
    )
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    finally:
        service.batcher.close()
        service.watcher.stop()
    return ExitStatus.SUCCESS


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=1024)


def _be_quiet() -> None:
    """Shows this package's own log, and only errors of the libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    # A descriptor of its own: `model_watcher` discards what is printed on the other one.
    handler = logging.StreamHandler(os.fdopen(os.dup(sys.stderr.fileno()), "w"))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    _log.setLevel(logging.INFO)
