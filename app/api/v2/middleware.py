"""ASGI middleware for the paths of the Open Inference Protocol."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import ERROR_RESPONSE
from app.api.v2.errors import ProtocolErrorResponse


class ProtocolMiddleware:
    """Middleware that applies the protocol's conventions to its paths.

    Errors have the protocol's form. A trailing slash is ignored: clients of the protocol do not
    follow redirects.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and f"{scope['path']}/".startswith("/v2/"):
            scope = {
                **scope,
                "path": scope["path"].removesuffix("/"),
                "raw_path": scope["raw_path"].removesuffix(b"/"),
                "state": {**scope["state"], ERROR_RESPONSE: ProtocolErrorResponse},
            }
        await self._app(scope, receive, send)
