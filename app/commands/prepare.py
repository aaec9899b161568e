"""`python -m app prepare MODEL`: selection of the fastest engine for the next start."""

import argparse
import json
import os
import sys

from app.commands.common import load_classifier, read_settings
from app.logs import configure_logging
from app.runtime.signals import exit_with_supervisor

_NICE = 10  # beside a running service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a name, such as catdog")
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Select an engine and print it; return 1 if none can be used."""
    settings = read_settings()
    configure_logging(settings.log_level, settings.log_format)
    if options.supervised:
        exit_with_supervisor(settings)
        os.nice(_NICE)
    import torch  # noqa: PLC0415 - not needed for --help or for errors

    from app.engines.selection import SelectionState, select_engine  # noqa: PLC0415
    from app.engines.selection_cache import CachedSelection  # noqa: PLC0415

    torch.set_num_threads(settings.compute_threads)
    choice = select_engine(load_classifier(options.model, settings), settings.engines)
    kind, reason = choice.engine.kind, choice.reason
    if choice.state is SelectionState.FAILED:
        found = reason
    elif options.supervised:
        found = json.dumps(CachedSelection(kind, reason).to_json())
    else:
        found = f"{kind}: {reason}"
    sys.stdout.write(f"{found}\n")
    return int(choice.state is SelectionState.FAILED)
