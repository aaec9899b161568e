"""The command line: `python -m app COMMAND`."""

import argparse
import os
import sys
from importlib import import_module
from types import ModuleType

import structlog

from app.commands.options import INTERRUPTED
from app.errors import AtelierError
from app.runtime.supervisor import REFUSED

COMMANDS = {
    "serve": "start the service: a supervisor with its web process and workers",
    "web": "start the web process alone, for containers",
    "worker": "start a worker alone, for containers",
    "doctor": "look for what keeps the service from working",
    "jobs": "look at the jobs of this host, or cancel one",
    "key": "make an API key",
    "prepare": "choose what runs a model, and keep it for the next start or reload",
    "classify": "classify images without a server",
    "evaluate": "tell how good a model is on labelled images, without a server",
    "stylize": "paint a photograph in the style of a picture, without a server",
}


# Threads that wait for each other give the processor away. By default they spin, so that two
# processes on one host, or training beside a service, slow each other down several times over.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Atelier")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = subparsers.add_parser(name, help=summary, description=summary)
        _module(name).add_arguments(command)
    options = parser.parse_args(arguments)
    try:
        status: int = _module(options.command).run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except AtelierError as error:
        if structlog.is_configured():  # of a service, whose every line is of one kind
            structlog.stdlib.get_logger(__name__).critical(str(error))
        else:
            sys.stderr.write(f"error: {error}\n")
        return REFUSED
    return status


def _module(command: str) -> ModuleType:
    return import_module(f"app.commands.{command}")


if __name__ == "__main__":
    sys.exit(main())
