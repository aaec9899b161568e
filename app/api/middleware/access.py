"""The gate, which every request passes first: is it meant for us, and whose is it?

What is not open is closed, so that a new route needs no thought.
"""

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.auth.identity import ANONYMOUS, Identification, KeyRequiredError, UnknownKeyError
from app.api.auth.rate_limit import Allowance
from app.api.errors import response_to
from app.api.middleware.csrf import check_host, check_origin
from app.api.problems import InvalidRequestError
from app.errors import AtelierError
from app.runtime.connections import peer_of

_OPEN = {"/", "/session", "/openapi.json"}
_MAX_PARAMETERS = 64
_PAGE_FILES = "/web/"
_HEALTH = ("/health/", "/v2/health/")  # asked for by orchestrators, under whatever name they know
_OPEN_FOLDERS = (*_HEALTH, _PAGE_FILES)


def is_health_probe(path: str) -> bool:
    """Return whether orchestrators ask at this path how the service is."""
    return path.startswith(_HEALTH)


def is_open(path: str) -> bool:
    """Return whether a path is open to everybody, whatever the settings say."""
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


@dataclass(frozen=True)
class Entry:
    """Who may come in."""

    identification: Identification
    allowance: Allowance
    allowed_hosts: Collection[str]
    open_paths: Collection[str]
    keyless: Allowance

    async def admit(self, scope: Scope) -> str | None:
        """Return the caller's name; None for nobody in particular, where everybody may come.

        Raises:
            AtelierError: the request may not come in.
        """
        headers, path = Headers(scope=scope), scope["path"]
        is_for_all = is_open(path) or path in self.open_paths
        caller, refusal = None, None
        try:
            caller = self.identification.caller(headers)
        except (KeyRequiredError, UnknownKeyError) as error:
            await self._count_keyless(scope)
            refusal = error
        if caller is not None and not is_for_all:
            await self.allowance.take_request(caller)
        _check_parameters(scope["query_string"])
        if not is_health_probe(path):
            check_host(headers, self.allowed_hosts)
        check_origin(scope["method"], headers)
        if refusal is not None and not is_for_all:
            raise refusal
        return caller

    async def _count_keyless(self, scope: Scope) -> None:
        """Count a request without a caller; sign-ins are counted apart from all the others."""
        if not _is_cheap(scope["path"]):
            is_sign_in = (scope["method"], scope["path"]) == ("POST", "/session")
            peer = peer_of(scope.get("client"))
            await self.keyless.take_request(f"{peer} signing in" if is_sign_in else peer)


def _check_parameters(query: bytes) -> None:
    """Refuse a query of very many parameters: each unknown one would become an error.

    Raises:
        InvalidRequestError: it has too many.
    """
    count = query.count(b"&") + 1
    if count > _MAX_PARAMETERS:
        raise InvalidRequestError(
            f"The query has {count:,} parameters; the limit is {_MAX_PARAMETERS}."
        )


def _is_cheap(path: str) -> bool:
    """Tell requests that are answered from memory: one view of the page makes dozens of them."""
    return path == "/" or path.startswith(_PAGE_FILES) or is_health_probe(path)


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
