"""`python -m app worker`."""

import argparse
import secrets
import socket

from app.commands.options import read_settings
from app.logs import configure_logging
from app.supervised import exit_with_supervisor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--web-url", help=argparse.SUPPRESS)
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Run jobs until told to stop."""
    settings = read_settings()
    configure_logging(settings.log_level, settings.log_format)
    if options.supervised:
        exit_with_supervisor(settings)
    from app import worker  # noqa: PLC0415 - imports torch, which --help and errors need not

    name = options.name or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    worker.run(settings, name, options.web_url)
    return 0
