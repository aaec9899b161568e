"""The address that the service listens on."""

import socket
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException

from app.doctor.finding import Finding, ok, problem
from app.runtime.listening import StartError, listen, reachable
from app.settings import Settings

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PATIENCE_S = 3.0


def address(settings: Settings) -> Iterator[Finding]:
    """Look who listens there; if nobody does, whether one can."""
    where = f"address {settings.host}:{settings.port}"
    if settings.port and _is_taken(settings):
        if _is_atelier(settings):
            yield ok(f"{where}: a service answers there")
        else:
            yield problem(f"{where}: another program has it", "choose another ATELIER_PORT")
        return
    try:
        listen(settings).close()
    except StartError as error:
        yield problem(where, str(error))
    else:
        yield ok(f"{where}: free" if settings.port else f"{where}: any free port is taken")


def _is_taken(settings: Settings) -> bool:
    try:
        target = (reachable(settings.host).strip("[]"), settings.port)
        with socket.create_connection(target, timeout=_PATIENCE_S):
            return True
    except OSError:
        return False


def _is_atelier(settings: Settings) -> bool:
    url = f"http://{reachable(settings.host)}:{settings.port}/health/live"
    try:
        with _DIRECT.open(url, timeout=_PATIENCE_S) as answer:
            return bool(answer.read(100).strip() == b'{"status":"live"}')
    except (OSError, HTTPException):
        return False
