"""Receiving of forms and other bodies into memory, within limits that all requests share.

Every byte is counted before it is kept. Nothing is written to disk.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.requests import Request

from app.api.problems import ApiError, ProblemType
from app.api.uploads.body import (
    UploadLimits,
    UploadTimeoutError,
    UploadTimeouts,
    UploadTooLargeError,
    body_chunks,
)
from app.api.uploads.decompression import decompressed, window_bits_of
from app.api.uploads.forms import Form, Layout, UnsupportedUploadError, form_parser
from app.api.uploads.multipart import MalformedUploadError
from app.serving.errors import QueueFullError
from app.vision.errors import ImageTooLargeError, UndecodableImageError, UnsupportedFormatError

_PIECE_BYTES = 65_536


class UploadsBusyError(ApiError):
    """The memory for uploads is in use."""

    problem_type = ProblemType(503, "overloaded", "The service is busy", retry_after_s=1)


PICTURE_REFUSALS = (
    UploadTimeoutError,
    ImageTooLargeError,
    UploadTooLargeError,
    UnsupportedFormatError,
    UnsupportedUploadError,
    UndecodableImageError,
    MalformedUploadError,
    UploadsBusyError,
    QueueFullError,
)
"""Errors of uploaded images."""


class FormReceiver:
    """A receiver of forms within limits that all requests share."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._held_bytes = Counter[str]()

    @property
    def timeouts(self) -> UploadTimeouts:
        """The time limits of a request."""
        return self._limits.timeouts

    @property
    def held_bytes(self) -> int:
        """The bytes that all requests hold at the moment."""
        return self._held_bytes.total()

    @asynccontextmanager
    async def receive(self, request: Request, layout: Layout, flow: str) -> AsyncIterator[Form]:
        """Receive a form with one or more images. Its bytes count as held until the exit.

        Raises:
            UnsupportedUploadError: the Content-Type is not supported.
            MalformedUploadError: the body does not match its Content-Type, or has no image.
            UploadTooLargeError: there are too many bytes or files.
            UploadTimeoutError: it took too long.
            UploadsBusyError: this flow, or all flows together, hold too many bytes.
            ClientDisconnect: the client has gone.
        """
        parser = form_parser(request.headers.get("content-type", ""), layout, self._limits)
        with self._counted(flow) as count:
            async for chunk in self._arriving(request):
                count(len(chunk))
                parser.feed(chunk)
            yield parser.finish()

    @asynccontextmanager
    async def receive_whole(self, request: Request, flow: str) -> AsyncIterator[bytearray]:
        """Receive a body of any type and decompress it. Its bytes count as held until the exit.

        It is decompressed once it is complete, so that a slow client holds only what it has sent.

        Raises:
            UnsupportedEncodingError: the Content-Encoding is neither gzip nor deflate.
            MalformedUploadError: it cannot be decompressed.
            UploadTooLargeError, UploadTimeoutError, UploadsBusyError, ClientDisconnect: as above.
        """
        window_bits = window_bits_of(request.headers.get("content-encoding", ""))
        body = bytearray()
        with self._counted(flow) as count:
            async for chunk in self._arriving(request):
                count(len(chunk))
                body += chunk
            if window_bits is not None:
                packed, body = body, bytearray()
                chunks = _taken(packed, count)
                async for piece in decompressed(
                    chunks, window_bits, self._limits.max_request_bytes
                ):
                    count(len(piece))
                    body += piece
            yield body

    def _arriving(self, request: Request) -> AsyncIterator[bytes]:
        return body_chunks(request, self._limits.max_request_bytes, self._limits.timeouts)

    @contextmanager
    def _counted(self, flow: str) -> Iterator[Callable[[int], None]]:
        """Count bytes as held by a flow until the exit. A negative number releases bytes."""
        most = self._limits.max_flow_bytes
        held_bytes = 0

        def count(more_bytes: int) -> None:
            nonlocal held_bytes
            held_bytes += more_bytes
            self._held_bytes[flow] += more_bytes
            if held_bytes > most:
                raise UploadTooLargeError(
                    f"a request may take at most {most:,} bytes of memory, "
                    "compressed and decompressed; send less"
                )
            if self._held_bytes[flow] > most:
                raise UploadsBusyError(
                    f"your uploads together may take at most {most:,} bytes of memory; "
                    "send this one when another has been answered"
                )
            if self.held_bytes > self._limits.max_held_bytes:
                raise UploadsBusyError(
                    "Other uploads use all the memory for uploads. Try again later."
                )

        try:
            yield count
        finally:
            self._held_bytes[flow] -= held_bytes
            if not self._held_bytes[flow]:
                del self._held_bytes[flow]


def _taken(data: bytearray, count: Callable[[int], None]) -> Iterator[bytes]:
    """Take chunks from the front of the data, and count them as released."""
    while data:
        piece = bytes(data[:_PIECE_BYTES])
        del data[:_PIECE_BYTES]
        count(-len(piece))
        yield piece
