"""Runs the server until a signal ends it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import click
import uvicorn

from pipeline.exit_status import ExitStatus
from pipeline.serving.app import make_app
from pipeline.serving.batching import Batcher
from pipeline.serving.limits import Limits, PatientProtocol
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_watcher import ModelWatcher
from pipeline.serving.service import Service

_log = logging.getLogger("pipeline.serving")
_KEEP_ALIVE_SECONDS = 65  # Longer than the usual 60 of load balancers, which keep connections, too.
_SHUTDOWN_SECONDS = 20
_CONNECTIONS = 1000


@dataclass(frozen=True)
class ServerSettings:
    """Where to serve what."""

    serving_dir: Path
    model_name: str
    host: str
    port: int
    poll_seconds: float
    limits: Limits


def serve_model(settings: ServerSettings) -> ExitStatus:
    """Serves until SIGTERM (status 0) or SIGINT (130), after which open requests are finished.

    Returns:
      The exit status; FAILED if the address can't be used, which is said in a line.
    """
    _be_quiet()
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        _log.error(
            "Can't listen on %s port %d: %s. Choose another with --host and --port.",
            settings.host,
            settings.port,
            os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror,
        )
        return ExitStatus.FAILED
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    with contextlib.closing(listener):
        return _run(settings, listener, f"http://{shown}:{port}/")


def _run(settings: ServerSettings, listener: socket.socket, address: str) -> ExitStatus:
    metrics = Metrics()
    limits = settings.limits
    watcher = ModelWatcher(
        settings.serving_dir / settings.model_name, settings.poll_seconds, metrics
    )
    batcher = Batcher(limits.batch, limits.waiting, metrics.batch_rows.observe)
    app = make_app(Service(settings.model_name, limits, metrics, watcher, batcher))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=PatientProtocol,
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
    # For the moment before Uvicorn has its own handler, and because it raises the signal that
    # ended it once more.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    watcher.start(lambda: click.echo(f"Serving on {address} (Ctrl+C ends it)"))
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    finally:
        batcher.close()
        watcher.stop()
    return ExitStatus.SUCCESS


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=1024)


def _be_quiet() -> None:
    """Shows our own log, and only errors of the libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    # A descriptor of its own: `model_watcher` hides what comes on the other one.
    handler = logging.StreamHandler(os.fdopen(os.dup(sys.stderr.fileno()), "w"))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    _log.setLevel(logging.INFO)
