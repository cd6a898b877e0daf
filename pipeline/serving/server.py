"""Runs the HTTP and gRPC servers until a signal stops them."""

from __future__ import annotations

import asyncio
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
from rich.console import Console

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
_KEEP_ALIVE_SECONDS = 65  # Longer than load balancers keep idle connections, usually 60.
_SHUTDOWN_SECONDS = 20
_CONNECTIONS = 1000


@dataclass(frozen=True)
class Address:
    """The address to listen on.

    Attributes:
      host: host name or IP address.
      port: HTTP port; 0 selects a free port.
      grpc_port: gRPC port; 0 disables gRPC.
    """

    host: str
    port: int
    grpc_port: int


def serve_model(
    model_dir: Path, address: Address, poll_seconds: float, limits: Limits
) -> ExitStatus:
    """Serves until SIGTERM or SIGINT, then finishes open requests.

    Args:
      model_dir: directory of the releases. Its name is the name of the model.
      address: the address to listen on.
      poll_seconds: seconds between checks for new releases.
      limits: limits of the server.

    Returns:
      The exit status: 0 after SIGTERM, INTERRUPTED after SIGINT, FAILED with a line in the log if
      the address can't be used.
    """
    console = _set_up_log()
    listener = _listen(address.host, address.port, "--port")
    # gRPC can't use an existing socket, so this only checks the port and resolves the host.
    grpc_probe = _listen(address.host, address.grpc_port, "--grpc-port") if listener else None
    if listener is None or grpc_probe is None:
        return ExitStatus.FAILED
    grpc_address = _shown(grpc_probe) if address.grpc_port else None
    grpc_probe.close()
    metrics = Metrics()
    watcher = ModelWatcher(ReleaseStore(model_dir), poll_seconds, metrics)
    batcher = Batcher(limits.batch, limits.waiting, metrics.batch_rows.observe)
    service = Service(model_dir.name, limits, metrics, watcher, batcher)
    with listener:
        click.echo(f"Serving on http://{_shown(listener)}/ (press Ctrl+C to stop)")
        if grpc_address:
            click.echo(f"Serving gRPC on {grpc_address}")
        return _run(service, listener, grpc_address, console)


class _Server(uvicorn.Server):
    """Uvicorn's HTTP server, combined with a gRPC server that starts and stops with it."""

    def __init__(self, service: Service, grpc_address: str | None) -> None:
        super().__init__(
            uvicorn.Config(
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
        )
        self._service = service
        self._grpc_address = grpc_address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._grpc_address:
            from pipeline.serving.tfserving.grpc_api import GrpcApi

            self._grpc_server = await GrpcApi(self._service).start(self._grpc_address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        stops = [super().shutdown(sockets)]
        if self._grpc_address:
            stops.append(self._grpc_server.stop(_SHUTDOWN_SECONDS))
        await asyncio.gather(*stops)


def _run(
    service: Service, listener: socket.socket, grpc_address: str | None, console: Console
) -> ExitStatus:
    server = _Server(service, grpc_address)
    # Uvicorn installs its handlers later, and raises the signal again when it stops.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    loading = console.status("Loading the model…")
    loading.start()
    service.watcher.start(loading.stop)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    finally:
        service.batcher.close()
        service.watcher.stop()
    return ExitStatus.SUCCESS


def _listen(host: str, port: int, option: str) -> socket.socket | None:
    """Binds a socket. If the address can't be used, logs the reason and returns None."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        _log.error(
            "Can't listen on %s port %d: %s. Choose another with --host and %s.",
            host,
            port,
            os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror,
            option,
        )
        return None


def _shown(listener: socket.socket) -> str:
    """Formats an address as host:port, with brackets around IPv6."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _ConsoleHandler(logging.Handler):
    """Prints log lines above the spinner."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record), soft_wrap=True)


def _set_up_log() -> Console:
    """Shows the log of this package, but only errors of libraries.

    Returns:
      The console of the log. It has a separate file descriptor, because `model_watcher` discards
      output on standard error while a model loads.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    warnings.simplefilter("ignore")
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    handler = _ConsoleHandler(console)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    _log.setLevel(logging.INFO)
    return console
