"""`python -m app worker`: one worker alone."""

import argparse
import secrets
import socket
import threading

from app.commands.common import fast_imports, read_settings
from app.logs import configure_logging
from app.runtime.child_process import DeliveryHandler
from app.runtime.signals import exit_with_supervisor
from app.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--web-url", help=argparse.SUPPRESS)
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Run jobs until stopped."""
    settings = read_settings()
    configure_logging(settings.log_level, settings.log_format)
    if options.supervised:
        exit_with_supervisor(settings)
    name = options.name or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    if settings.broker_url is not None:
        return _consume(settings, name)
    with fast_imports():
        from app.runtime import worker  # noqa: PLC0415 - imports torch, which is not needed for errors

    worker.run(settings, name, options.web_url)
    return 0


def _consume(settings: Settings, name: str) -> int:
    from app.runtime import celery_broker, celery_worker  # noqa: PLC0415 - a single host lacks Celery

    def open_work(stopping: threading.Event) -> DeliveryHandler:
        with fast_imports():
            from app.runtime.worker import DeliveredJobs  # noqa: PLC0415 - only the child imports torch

        return DeliveredJobs(settings, name, stopping)

    return celery_worker.consume(celery_broker.BrokerOptions.of(settings), open_work)
