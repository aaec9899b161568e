"""`python -m app web`: the web process alone."""

import argparse
import socket
import time

import structlog

from app.commands.common import add_address, fast_imports, read_settings
from app.jobs.errors import StoreUnavailableError
from app.logs import configure_logging
from app.runtime.connections import ConnectionLimits
from app.runtime.listening import listen
from app.runtime.signals import ReloadSignal, exit_with_supervisor
from app.settings import Settings

log = structlog.stdlib.get_logger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_address(parser)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Serve HTTP until stopped."""
    reload_signal = ReloadSignal()
    settings = read_settings(host=options.host, port=options.port)
    configure_logging(settings.log_level, settings.log_format)
    if options.supervised:
        exit_with_supervisor(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with fast_imports():
        from app.runtime import server  # noqa: PLC0415 - imports torch, which is not needed for errors
        from app.runtime.web import create_app  # noqa: PLC0415
    log.info("program loaded", seconds=round(time.perf_counter() - started, 2))

    with listen(settings) if options.fd is None else socket.socket(fileno=options.fd) as listener:
        try:
            web_app = create_app(settings, reload_signal)
        except StoreUnavailableError as error:  # temporary: the supervisor may restart it
            log.error("the store does not answer", error=str(error))  # noqa: TRY400
            return 1
        server.run(web_app, listener, _limits(settings), grace_s=settings.shutdown_grace_s)
    return 0


def _limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        max_connections=settings.max_connections,
        max_per_peer=settings.max_connections_per_peer,
        head_timeout_s=settings.head_timeout_s,
        download_stall_s=settings.download_stall_s,
    )
