"""Request ids, the request log, request metrics, and the response to unexpected errors."""

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import internal_error
from app.metrics import Metrics

log = structlog.stdlib.get_logger(__name__)

_REQUEST_ID = re.compile(r"[!-~]{1,128}")  # visible ASCII
_QUIET = ("/health/", "/v2/health/", "/metrics")


class RequestLogMiddleware:
    """ASGI middleware around all others but the security headers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("request failed")
                if status == 0:
                    await internal_error()(scope, receive, send_with_id)
            finally:
                self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.requests.labels(scope["method"], route, status).inc()
        self._metrics.request_s.labels(route).observe(seconds)
        show = log.debug if scope["path"].startswith(_QUIET) else log.info
        show(
            "request",
            method=scope["method"],
            path=scope["raw_path"].decode("ascii"),  # percent-encoded: no line breaks
            status=status,
            milliseconds=round(seconds * 1000, 1),
        )
