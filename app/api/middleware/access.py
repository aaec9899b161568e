"""Access control, which every request passes first: host name, origin, key and rate limits.

Every path needs a key unless it is listed as open, so that a new route is closed by default.
"""

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.auth.identity import (
    ANONYMOUS,
    Authenticator,
    KeyRequiredError,
    UnknownKeyError,
    peer_of,
)
from app.api.auth.rate_limit import RateLimiter
from app.api.errors import response_to
from app.api.middleware.csrf import check_host, check_origin
from app.api.problems import InvalidRequestError
from app.errors import AtelierError

_OPEN = {"/", "/session", "/openapi.json"}
_MAX_PARAMETERS = 64
_PAGE_FILES = "/web/"
_HEALTH = ("/health/", "/v2/health/")  # orchestrators use any host name
_OPEN_FOLDERS = (*_HEALTH, _PAGE_FILES)


def is_health_probe(path: str) -> bool:
    """Return whether a path is a health probe."""
    return path.startswith(_HEALTH)


def is_open(path: str) -> bool:
    """Return whether a path never needs a key."""
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


@dataclass(frozen=True)
class AccessRules:
    """The rules for access, and the caller's name."""

    authenticator: Authenticator
    rate_limiter: RateLimiter
    allowed_hosts: Collection[str]
    open_paths: Collection[str]
    keyless: RateLimiter

    async def admit(self, scope: Scope) -> str | None:
        """Return the caller's name, or None on an open path without a key.

        Raises:
            AtelierError: access is refused.
        """
        headers, path = Headers(scope=scope), scope["path"]
        is_for_all = is_open(path) or path in self.open_paths
        caller, refusal = None, None
        try:
            caller = self.authenticator.caller(headers)
        except (KeyRequiredError, UnknownKeyError) as error:
            await self._count_keyless(scope)
            refusal = error
        if caller is not None and not is_for_all:
            await self.rate_limiter.take_request(caller)
        _check_parameters(scope["query_string"])
        if not is_health_probe(path):
            check_host(headers, self.allowed_hosts)
        check_origin(scope["method"], headers)
        if refusal is not None and not is_for_all:
            raise refusal
        return caller

    async def _count_keyless(self, scope: Scope) -> None:
        """Count a request without a caller. Sign-ins are counted separately."""
        if not _is_cheap(scope["path"]):
            is_sign_in = (scope["method"], scope["path"]) == ("POST", "/session")
            peer = peer_of(scope.get("client"))
            await self.keyless.take_request(f"{peer} signing in" if is_sign_in else peer)


def _check_parameters(query: bytes) -> None:
    """Refuse a query with very many parameters: each unknown one would become an error.

    Raises:
        InvalidRequestError: there are too many.
    """
    count = query.count(b"&") + 1
    if count > _MAX_PARAMETERS:
        raise InvalidRequestError(
            f"The query has {count:,} parameters; the limit is {_MAX_PARAMETERS}."
        )


def _is_cheap(path: str) -> bool:
    """Return whether a path is served from memory. One view of the page needs dozens of them."""
    return path == "/" or path.startswith(_PAGE_FILES) or is_health_probe(path)


class AccessMiddleware:
    """ASGI middleware that checks access and sets `request.state.caller`."""

    def __init__(self, app: ASGIApp, access_rules: AccessRules) -> None:
        self._app = app
        self._access_rules = access_rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._access_rules.admit(scope)
        except AtelierError as error:
            await response_to(error)(scope, receive, send)
            return
        scope["state"]["caller"] = caller
        if caller not in (None, ANONYMOUS):
            structlog.contextvars.bind_contextvars(caller=caller)  # for this request's task
        await self._app(scope, receive, send)
