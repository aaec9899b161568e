"""`python -m app serve`: the supervisor with its web process and workers."""

import argparse

from app.commands.common import add_address, read_settings
from app.logs import configure_logging
from app.runtime import supervisor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_address(parser)


def run(options: argparse.Namespace) -> int:
    """Run the service until it is stopped."""
    settings = read_settings(host=options.host, port=options.port)
    configure_logging(settings.log_level, settings.log_format)
    supervisor.serve(settings)
    return 0
