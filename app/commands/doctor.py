"""`python -m app doctor`: checks of the host, the settings and the service."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from app.commands.common import SettingsError, add_address, read_settings
from app.doctor.finding import Finding, Level, problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_address(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(options: argparse.Namespace) -> int:
    """Run all checks, whether a service is running or not; return 1 if there is a problem."""
    found = []
    for finding in _findings(options):
        found.append(finding)
        if not options.json:
            sys.stdout.write(f"{finding}\n")
            sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    return int(any(each.level is Level.PROBLEM for each in found))


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        settings = read_settings(host=options.host, port=options.port)
    except SettingsError as error:
        yield problem(f"settings: {error}", "docs/settings.md lists them")
        return
    from app.doctor.checks import run_checks  # noqa: PLC0415 - imports torch
    from app.vision.images import configure_pillow  # noqa: PLC0415

    configure_pillow()
    yield from run_checks(settings)
