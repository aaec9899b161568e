"""Runs the web app under uvicorn, with bounds on what a client may send outside of a body."""

import asyncio
import json
import math
import re
import resource
import socket
import uuid
from functools import partial
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.errors import ProblemResponse, problem
from app.api.kinds import Kind
from app.api.safe_headers import SAFE_HEADERS

_MAX_HEAD_BYTES = 64 * 1024
_RESERVED_DESCRIPTORS = 64
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)

_MALFORMED = Kind(400, "malformed_http", "Not HTTP")
_HEAD_TOO_LARGE = Kind(431, "head_too_large", "The request head is too large")


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, made safe against clients that send heads without end, or none at all.

    uvicorn keeps headers and trailers in memory without a limit, waits for them without a limit,
    takes connections until there are no descriptors left, and loses the body of a request that
    asks for another protocol.
    """

    def __init__(self, *args: Any, head_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timeout_s = head_timeout_s
        self._bytes_without_body = 0  # since the last head was complete or a piece of body came
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection if there is room, and give it some time for its first head."""
        super().connection_made(transport)
        if len(self.connections) > _max_connections():
            transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and give up on heads and trailers that go on and on."""
        if self._is_between_requests():
            self._await_head()
            data = _without_upgrade(data)
        self._bytes_without_body += len(data)
        super().data_received(data)
        if self._bytes_without_body > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_HEAD_TOO_LARGE, f"at most {_MAX_HEAD_BYTES:,} bytes of headers are read")

    def on_headers_complete(self) -> None:
        """Stop waiting: from here on the app bounds the body."""
        self._head_arrived()
        self._bytes_without_body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body, which the app counts."""
        self._bytes_without_body = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed."""
        self._refuse(_MALFORMED, msg)

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_timeout_s, self.transport.close)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, kind: Kind, detail: str) -> None:
        body = json.dumps(problem(kind, detail).model_dump()).encode()
        headers = {
            "Content-Type": ProblemResponse.media_type,
            "Content-Length": str(len(body)),
            "X-Request-ID": uuid.uuid4().hex,
            "Connection": "close",
            **SAFE_HEADERS,
        }
        lines = [f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}"]
        lines += [f"{name.lower()}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""])
        self.transport.write(head.encode() + body)
        self.transport.close()


def run(app: FastAPI, listener: socket.socket, *, grace_s: float, head_timeout_s: float) -> None:
    """Serve until SIGTERM or SIGINT.

    Running requests then have `grace_s` seconds to end. A connection that takes longer than
    `head_timeout_s` seconds to send the head of a request is closed.
    """
    config = uvicorn.Config(
        app,
        http=partial(BoundedHttpProtocol, head_timeout_s=head_timeout_s),  # type: ignore[arg-type]
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    _Server(config, app).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._end_streams = app.state.end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._end_streams()  # event streams go on for as long as their jobs
        await super().shutdown(sockets)


def _max_connections() -> int:
    """As many as there are file descriptors, less some that the service itself needs."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft_limit - _RESERVED_DESCRIPTORS)


def _without_upgrade(data: bytes) -> bytes:
    """Take the Upgrade header out of a head: no other protocol is spoken, and it may be ignored.

    The parser stops at the end of a head that has one, and the request's body would be lost.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head) + separator + rest
