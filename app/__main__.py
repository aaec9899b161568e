"""The command line: `atelier COMMAND`, or `python -m app COMMAND`."""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import structlog

from app.commands.common import INTERRUPTED
from app.errors import AtelierError
from app.runtime.supervisor import REFUSED

COMMANDS = {
    "serve": "start the service: a supervisor with a web process and workers",
    "web": "start only the web process, for containers",
    "worker": "start only a worker, for containers",
    "doctor": "check the host, the settings and the service",
    "jobs": "list, show or cancel jobs",
    "key": "make an API key",
    "prepare": "select the engine of a model in advance, for the next start or reload",
    "classify": "classify images without a server",
    "evaluate": "evaluate a model on labeled images without a server",
    "stylize": "paint a photograph in the style of a picture without a server",
}


# Let waiting OpenMP threads yield the processor. By default they spin, which slows down every other
# process on the host several times over: a second worker, or training beside a service.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog=_program(), description="Atelier")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = subparsers.add_parser(name, help=summary, description=summary)
        _module(name).add_arguments(command)
    options = parser.parse_args(arguments)
    try:
        status: int = _module(options.command).run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    except AtelierError as error:
        if structlog.is_configured():  # a service: its log has one format
            structlog.stdlib.get_logger(__name__).critical(str(error))
        else:
            sys.stderr.write(f"error: {error}\n")
        return REFUSED
    return status


def _program() -> str:
    name = Path(sys.argv[0]).name
    return name if name == "atelier" else "python -m app"


def _module(command: str) -> ModuleType:
    return import_module(f"app.commands.{command}")


if __name__ == "__main__":
    sys.exit(main())
