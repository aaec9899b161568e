"""The address that the service listens on."""

import ipaddress
import socket

from app.errors import AtelierError
from app.settings import Settings

_BACKLOG = 1024


class StartError(AtelierError):
    """The service cannot start on this data directory or address."""


def reachable(host: str) -> str:
    """An address at which a listener on `host` can be reached from here."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"[{address}]" if ":" in address else address


def is_loopback(host: str) -> bool:
    """Return whether only this host can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(settings: Settings) -> socket.socket:
    """Open the listening socket.

    Raises:
        StartError: the address is in use or not of this host, or open to others without keys.
    """
    if not (settings.keyring or settings.allow_anonymous or is_loopback(settings.host)):
        raise StartError(
            f"others could use the service at {settings.host}, and it has no keys. Make one with "
            "`python -m app key new NAME` and name it in ATELIER_API_KEYS, or let everybody in "
            "with ATELIER_ALLOW_ANONYMOUS=1"
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another with --host and --port (a service that was killed may take some "
            "seconds to end)"
        ) from error
