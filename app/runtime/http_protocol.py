"""uvicorn's HTTP protocol with limits on what a client may send and leave unread."""

import asyncio
import fcntl
import json
import socket
import struct
import sys
import termios
import uuid
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.auth.identity import peer_of
from app.api.middleware.access import is_health_probe
from app.api.middleware.headers import SAFE_HEADERS
from app.api.problems import ProblemResponse, ProblemType, problem
from app.runtime.connections import ConnectionLimits, ConnectionSlot, ConnectionSlots

_MAX_HEAD_BYTES = 64 * 1024
_MAX_HEADERS = 100
_MAX_PIPELINED = 4  # requests that wait for the answer to the one before
_MIN_READ_BYTES = 16 * 1024  # of a response, within the stall timeout
_SEND_BUFFER_BYTES = 256 * 1024  # the kernel doubles it; on its own it would take up to 4 MB
_RESERVED_HEAD_TIMEOUT_S = 2.0
_NO_LINGER = struct.pack("ii", 1, 0)  # the kernel drops unread data, too
_FRAMING = (b"content-length", b"transfer-encoding")

_MALFORMED = ProblemType(400, "malformed_http", "Not HTTP")
_HEAD_TOO_LARGE = ProblemType(431, "head_too_large", "The request head is too large")
_HEAD_TOO_LARGE_DETAIL = (
    f"The request head is larger than the limit of {_MAX_HEAD_BYTES:,} bytes. Send fewer headers."
)
_CONNECTIONS_FULL = ProblemType(503, "overloaded", "The service is busy", retry_after_s=1)


class _RefusedError(Exception):
    """A request that the protocol itself answers before it closes the connection."""

    def __init__(self, problem_type: ProblemType, detail: str) -> None:
        super().__init__(detail)
        self.problem_type = problem_type
        self.detail = detail


class _BodyCallbacks:
    """Parser callbacks for a body whose head has been parsed already."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits on heads, connections and pipelined requests.

    uvicorn has no limits on headers, trailers and pipelined requests in memory, on the time for
    heads and for clients that do not read, and on connections. Upgrades to other protocols are not
    supported: a request that offers one is answered in HTTP and is the last of its connection,
    because the following bytes may be in the other protocol. After an early response, the rest of
    the body is read and dropped within the timeout for heads.
    """

    def __init__(
        self, *args: Any, limits: ConnectionLimits, slots: ConnectionSlots, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._head_timeout_s = limits.head_timeout_s
        self._download_stall_s = limits.download_stall_s
        self._slots = slots
        self._slot: ConnectionSlot | None = None
        self._head_bytes = 0  # of the current request, with its trailers
        self._header_count = 0  # of the current request, with its trailers
        self._is_head_complete = False
        self._is_body_complete = True
        self._closes_after_body = False
        self._bytes_without_body = 0  # since the end of the head or the last chunk of body
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._unread_bytes = 0  # when the timer started
        self._unanswered: list[RequestResponseCycle] = []
        self._is_last_request = False
        self._body_follows = False  # in bytes that the parser leaves to the other protocol
        self._is_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection if there is a slot, and start the timeout of its first head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # `pause_writing` at the first unread byte
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._slot = self._slots.take(peer_of(self.client), transport.close)
        if self._slot is None:
            transport.abort()
        elif self._slot.is_reserved:
            self._head_timeout_s = min(self._head_timeout_s, _RESERVED_HEAD_TIMEOUT_S)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the slot, and end the requests that are still being answered.

        uvicorn ends only the newest one.
        """
        self._head_arrived()
        self._forget_read_timer()
        if self._slot is not None:
            self._slot.release()
        for cycle in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and refuse heads and trailers over the limit."""
        if self._is_over:
            return
        if self._is_between_requests():
            self._await_head()
        self._bytes_without_body += len(data)
        self._unset_keepalive_if_required()
        self._parse(data)
        is_done = self._is_over or self.transport.is_closing()
        if self._bytes_without_body > _MAX_HEAD_BYTES and not is_done:
            self._refuse(_HEAD_TOO_LARGE, _HEAD_TOO_LARGE_DETAIL)

    def pause_writing(self) -> None:
        """Start the timeout for a client that does not read."""
        super().pause_writing()
        if self._read_timer is None:
            self._await_reading()

    def resume_writing(self) -> None:
        """Stop the timeout: the client has read everything."""
        super().resume_writing()
        self._forget_read_timer()
        self._mark_idle()

    def on_response_complete(self) -> None:
        """Continue with the next request; without one, the connection is idle."""
        super().on_response_complete()
        self._mark_idle()

    def on_message_begin(self) -> None:
        """Begin a request, unless the previous one was the last."""
        if self._is_over:
            raise _RefusedError(_MALFORMED, "No request is read after the last one.")
        super().on_message_begin()
        self._header_count = 0
        self._head_bytes = 0
        self._is_head_complete = False

    def on_url(self, url: bytes) -> None:
        """Count the bytes of the URL."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, and drop a trailer, because trailers are not used."""
        self._header_count += 1
        self._count_head(len(name) + len(value))
        if self._header_count > _MAX_HEADERS:
            raise _RefusedError(
                _HEAD_TOO_LARGE, f"The request has more than {_MAX_HEADERS} headers. Send fewer."
            )
        if not self._is_head_complete:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the timeout: the app limits the body."""
        self._head_arrived()
        if self._slot is not None:
            self._slot.mark_busy()
        self._is_head_complete = True
        self._bytes_without_body = 0
        is_reserved = self._slot is not None and self._slot.is_reserved
        if is_reserved and not is_health_probe(self.url.decode("latin-1")):
            raise _RefusedError(
                _CONNECTIONS_FULL, "There are too many connections. Try again later."
            )
        super().on_headers_complete()
        self._is_body_complete = False
        self._unanswered = [each for each in self._unanswered if not each.response_complete]
        self._unanswered.append(self.cycle)
        is_upgrade = self.parser.should_upgrade()
        is_full = is_reserved or len(self.pipeline) >= _MAX_PIPELINED
        if is_upgrade or is_full:
            self.cycle.keep_alive = False
            self._is_last_request = True
        if is_upgrade:
            self._body_follows = self.scope["method"] != "CONNECT" and bool(self._framing())
        # A connection that is closed while a body arrives is reset, and the response may be lost.
        self._closes_after_body = not self.cycle.keep_alive
        self.cycle.keep_alive = True

    def on_message_complete(self) -> None:
        """Note the end of the request; nothing is read after the last one."""
        if not self._body_follows and not self._is_over:
            super().on_message_complete()
            self._is_over = self._is_last_request
            self._is_body_complete = True
            if self._closes_after_body:
                self._close_after(self.cycle)
            self._mark_idle()

    def on_body(self, body: bytes) -> None:
        """Pass on a chunk of the body, unless it follows the last request."""
        if not self._is_over:
            self._bytes_without_body = 0
            super().on_body(body)

    def _count_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise _RefusedError(_HEAD_TOO_LARGE, _HEAD_TOO_LARGE_DETAIL)

    def _close_after(self, cycle: RequestResponseCycle) -> None:
        """Close the connection once a request has been answered."""
        if cycle.response_complete:
            self.transport.close()
        else:
            cycle.keep_alive = False

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            if self._body_follows:
                self._body_follows = False
                self._parse_body(data[stop.args[0] :])
        except httptools.HttpParserError as error:
            refused = error.__context__
            if self._is_over:
                return
            if isinstance(refused, _RefusedError):
                self._refuse(refused.problem_type, refused.detail)
            else:
                self._refuse(_MALFORMED, "Invalid HTTP request received.")

    def _parse_body(self, data: bytes) -> None:
        """Continue with a parser that only knows the length of the body.

        The parser of the head stops there if the request offers an upgrade, although its body is
        still HTTP.
        """
        self.parser = httptools.HttpRequestParser(_BodyCallbacks(self))
        self._parse(b"POST / HTTP/1.1\r\n" + self._framing() + b"\r\n" + data)

    def _framing(self) -> bytes:
        """Return the header lines that delimit the body of the current request."""
        return b"".join(
            b"%s: %s\r\n" % (name, value) for name, value in self.headers if name in _FRAMING
        )

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _mark_idle(self) -> None:
        """Mark the connection as idle if no request is unfinished.

        A connection that is closed while a body arrives is reset, and the response may be lost.
        """
        is_written = self._is_between_requests() and not self.flow.write_paused
        if is_written and self._is_body_complete and self._slot is not None:
            self._slot.mark_idle()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_timeout_s, self.transport.close)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _await_reading(self) -> None:
        self._unread_bytes = self._bytes_unread()
        self._read_timer = self.loop.call_later(self._download_stall_s, self._check_reading)

    def _check_reading(self) -> None:
        """Abort the connection if the client has read too little."""
        read_bytes = self._unread_bytes - self._bytes_unread()
        if read_bytes < _MIN_READ_BYTES:
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()
        else:
            self._await_reading()

    def _bytes_unread(self) -> int:
        """Return the number of bytes that the client has not acknowledged."""
        own = self.transport.get_write_buffer_size()
        return own + _bytes_in_kernel(self.transport.get_extra_info("socket").fileno())

    def _forget_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _refuse(self, problem_type: ProblemType, detail: str) -> None:
        """Refuse the current request; earlier ones are answered before the connection closes."""
        unanswered = [each for each in self._unanswered if not each.response_complete]
        if self._is_body_complete and unanswered:
            self._is_over = True
            self._head_arrived()
            self._close_after(unanswered[-1])
        elif not self._is_body_complete and (
            unanswered[:-1] or self.cycle is None or self.cycle.response_started
        ):
            self.transport.close()
        else:
            self._write_refusal(problem_type, detail)

    def _write_refusal(self, problem_type: ProblemType, detail: str) -> None:
        body = json.dumps(problem(problem_type, detail).model_dump()).encode()
        headers = {
            "Content-Type": ProblemResponse.media_type,
            "Content-Length": str(len(body)),
            "X-Request-ID": uuid.uuid4().hex,
            "Connection": "close",
            **SAFE_HEADERS,
        }
        if problem_type.retry_after_s is not None:
            headers["Retry-After"] = str(problem_type.retry_after_s)
        lines = [f"HTTP/1.1 {problem_type.status} {HTTPStatus(problem_type.status).phrase}"]
        lines += [f"{name.lower()}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""])
        self.transport.write(head.encode() + body)
        self.transport.close()


def _bytes_in_kernel(descriptor: int) -> int:
    """Return the number of bytes in a socket's send buffer, including unacknowledged ones.

    The number is only available on Linux; elsewhere it is 0.
    """
    if sys.platform != "linux":
        return 0
    (size,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
    return int(size)
