"""Runs the web app under uvicorn, with bounds on what a client may send outside of a body."""

import asyncio
import json
import math
import resource
import socket
import uuid
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.errors import ProblemResponse, problem
from app.api.kinds import Kind
from app.api.safe_headers import SAFE_HEADERS

_MAX_HEAD_BYTES = 64 * 1024
_RESERVED_DESCRIPTORS = 64
_FRAMING = (b"content-length", b"transfer-encoding")

_MALFORMED = Kind(400, "malformed_http", "Not HTTP")
_HEAD_TOO_LARGE = Kind(431, "head_too_large", "The request head is too large")


class _BodyCallbacks:
    """Callbacks of a parser that reads a body whose head has been parsed already."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits on heads, on connections and on what follows a request.

    uvicorn keeps headers and trailers in memory without a limit, waits for them without a limit,
    and takes connections until there are no descriptors left. No other protocol is spoken: a
    request that offers one is answered in HTTP, and is the last one of its connection, as whatever
    follows it may be in that protocol. The rest of a body that was answered early is read and
    dropped for as long as a head may take to arrive.
    """

    def __init__(self, *args: Any, head_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timeout_s = head_timeout_s
        self._bytes_without_body = 0  # since the last head was complete or a piece of body came
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_last_request = False
        self._body_follows = False  # in bytes that the parser leaves to another protocol
        self._is_over = False

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
        """Parse the data, and give up on heads and trailers that exceed the limit."""
        if self._is_over:
            return
        if self._is_between_requests():
            self._await_head()
        self._bytes_without_body += len(data)
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._bytes_without_body > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_HEAD_TOO_LARGE, f"at most {_MAX_HEAD_BYTES:,} bytes of headers are read")

    def on_headers_complete(self) -> None:
        """Stop waiting: from here on the app bounds the body."""
        self._head_arrived()
        self._bytes_without_body = 0
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False
            self._is_last_request = True
            self._body_follows = self.scope["method"] != "CONNECT" and bool(self._framing())

    def on_message_complete(self) -> None:
        """Read nothing after the last request."""
        if not self._body_follows:
            super().on_message_complete()
            self._is_over = self._is_last_request

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body, which the app counts."""
        self._bytes_without_body = 0
        super().on_body(body)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            if self._body_follows:
                self._body_follows = False
                self._parse_body(data[stop.args[0] :])
        except httptools.HttpParserError:
            self._refuse(_MALFORMED, "Invalid HTTP request received.")

    def _parse_body(self, data: bytes) -> None:
        """Go on with a parser that knows only the length of the body, and offers nothing else.

        The parser of the head ends there when another protocol is offered, although the body still
        is in HTTP.
        """
        self.parser = httptools.HttpRequestParser(_BodyCallbacks(self))
        self._parse(b"POST / HTTP/1.1\r\n" + self._framing() + b"\r\n" + data)

    def _framing(self) -> bytes:
        """Return the header lines of the present request that delimit its body."""
        return b"".join(
            b"%s: %s\r\n" % (name, value) for name, value in self.headers if name in _FRAMING
        )

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
