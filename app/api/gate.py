"""The gate, which every request passes first: is it meant for us, and whose is it?

What is not open is closed, so that a new route needs no thought.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.allowance import Allowance
from app.api.errors import response_to
from app.api.identity import ANONYMOUS, Identification, KeyRequiredError, UnknownKeyError
from app.api.origins import check_host, check_origin
from app.vision.errors import AtelierError

_OPEN = {"/", "/session", "/openapi.json"}
_HEALTH = ("/health/", "/v2/health/")  # asked for by orchestrators, under whatever name they know
_OPEN_FOLDERS = (*_HEALTH, "/web/")


def is_open(path: str) -> bool:
    """Whether everybody may come there, whatever the settings say."""
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


@dataclass(frozen=True)
class Entry:
    """Who may come in."""

    identification: Identification
    allowance: Allowance
    allowed_hosts: Collection[str]
    open_paths: Collection[str] = ()

    async def admit(self, scope: Scope) -> str | None:
        """Return the caller's name; None for nobody in particular, where everybody may come.

        Raises:
            AtelierError: the request may not come in.
        """
        headers, path = Headers(scope=scope), scope["path"]
        if not path.startswith(_HEALTH):
            check_host(headers, self.allowed_hosts)
        check_origin(scope["method"], headers)
        if is_open(path) or path in self.open_paths:
            with suppress(KeyRequiredError, UnknownKeyError):
                return self.identification.caller(headers)
            return None
        caller = self.identification.caller(headers)
        await self.allowance.take_request(caller)
        return caller


class Gate:
    """ASGI middleware: what comes in has its caller in `request.state.caller`."""

    def __init__(self, app: ASGIApp, entry: Entry) -> None:
        self._app = app
        self._entry = entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._entry.admit(scope)
        except AtelierError as error:
            await response_to(error)(scope, receive, send)
            return
        scope["state"]["caller"] = caller
        if caller not in (None, ANONYMOUS):
            structlog.contextvars.bind_contextvars(caller=caller)  # of this request's own task
        await self._app(scope, receive, send)
