"""Settings as the commands need them."""

import argparse
from typing import Any

from pydantic import ValidationError

from app.errors import AtelierError
from app.settings import Settings

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class SettingsError(AtelierError):
    """A setting, from the environment or the command line, is not valid."""


def read_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` that are not None win.

    Raises:
        SettingsError: a value is not valid.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}"
            for each in error.errors()
        )
        raise SettingsError(f"{problems} (settings are ATELIER_* variables)") from error


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add `--host` and `--port`."""
    parser.add_argument("--host", help="address to listen on (default: ATELIER_HOST or 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port (default: ATELIER_PORT or 8000)")
