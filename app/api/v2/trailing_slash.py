"""Trailing slashes in paths of the Open Inference Protocol, whose clients follow no redirects."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.v2.errors import is_of_protocol


class TrailingSlash:
    """ASGI middleware that answers `/v2/` as `/v2`, and so on for all paths of the protocol."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and is_of_protocol(scope["path"]):
            path = scope["path"].removesuffix("/")
            scope = {**scope, "path": path, "raw_path": scope["raw_path"].removesuffix(b"/")}
        await self._app(scope, receive, send)
