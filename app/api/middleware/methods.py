"""HEAD for every path that answers GET, and the complete `Allow` header."""

from collections.abc import MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

_ROUTED = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HeadMiddleware:
    """ASGI middleware that answers HEAD like GET, without the body (RFC 9110)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})  # ends streams, too

        asked = {**scope, "method": "GET"}
        await self._app(asked, receive, send_head)
        scope["route"] = asked.get("route")  # for the metrics


def allowed(request: Request) -> str:
    """Return the value of `Allow` for the request's path.

    The router only knows the methods of the first route with this path.
    """

    def takes(method: str) -> bool:
        asked = {**request.scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)

    methods = [method for method in _ROUTED if takes(method)]
    return ", ".join([*methods, "HEAD"] if "GET" in methods else methods)
