"""Receiving of archives. They are written to the disk, as they may be larger than the memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.auth.concurrency import ConcurrencyLimit
from app.api.uploads.body import UploadTimeouts, UploadTooLargeError, body_chunks
from app.api.uploads.forms import UnsupportedUploadError
from app.api.uploads.multipart import (
    MalformedUploadError,
    MultipartReader,
    boundary_of,
    part_called,
)
from app.jobs.errors import QuotaError, StorageFullError
from app.jobs.storage.spool import Incoming, Spool
from app.limits import ArchiveLimits

T = TypeVar("T")

_PART = "file"
_RAW = (b"application/zip", b"application/x-zip-compressed", b"application/octet-stream")
_FORM_BYTES = 16_384  # the overhead of a form around its file
_AT_ONCE = 4  # per caller: an archive counts as stored only when it is complete
_WAIT_S = 10  # for Retry-After
_PIECE_BYTES = 1_000_000  # written at once, in a thread


class ArchiveReceiver:
    """A receiver of archives within limits."""

    def __init__(
        self, spool: Spool, limits: ArchiveLimits, timeouts: UploadTimeouts, min_free_bytes: int
    ) -> None:
        self._spool = spool
        self.limits = limits
        self._timeouts = timeouts
        self._min_free_bytes = min_free_bytes
        self._one_at_a_time = CapacityLimiter(1)
        self._arriving = ConcurrencyLimit(
            _AT_ONCE,
            lambda: QuotaError(
                f"You are already sending {_AT_ONCE} archives. Send this one afterwards.", _WAIT_S
            ),
        )
        self._opening = ConcurrencyLimit(
            _AT_ONCE,
            lambda: QuotaError(
                f"{_AT_ONCE} archives or data sets of yours are being opened already; "
                "send this request afterwards",
                _WAIT_S,
            ),
        )

    @asynccontextmanager
    async def receive(self, request: Request, caller: str) -> AsyncIterator[Incoming]:
        """Receive one archive. The file is deleted at the exit unless it was moved away.

        Raises:
            QuotaError: the caller is already sending several.
            UnsupportedUploadError: the Content-Type is neither that of a zip archive nor a form.
            MalformedUploadError: the body is not what its Content-Type says.
            UploadTooLargeError: there are too many bytes, or several files.
            UploadTimeoutError: it took too long.
            StorageFullError: the disk has too little free space.
            ClientDisconnect: the client has gone.
        """
        with ExitStack() as stack:
            stack.enter_context(self._arriving.taken(caller))
            try:
                incoming = stack.enter_context(self._spool.incoming())
                await self._read(request, _receiver(request, incoming))
            except OSError as error:
                raise StorageFullError(
                    f"The archive cannot be stored: {error.strerror}."
                ) from error
            yield incoming

    async def opened(self, call: Callable[[], T], flow: str) -> T:
        """Call a function that opens an archive or a folder, in a thread, one call at a time.

        A hostile archive takes memory and time; other work does not wait for it.

        Raises:
            QuotaError: several calls of this flow are already waiting.
        """
        with self._opening.taken(flow):
            return await to_thread.run_sync(call, limiter=self._one_at_a_time)

    async def _read(self, request: Request, receiver: "_RawArchive | _FormArchive") -> None:
        piece = bytearray()
        most = self.limits.max_bytes + _FORM_BYTES
        async for chunk in body_chunks(request, most, self._timeouts):
            piece += chunk
            if len(piece) >= _PIECE_BYTES:
                await run_in_threadpool(self._write, receiver, bytes(piece))
                piece.clear()
        await run_in_threadpool(self._write, receiver, bytes(piece))
        receiver.finish()
        await run_in_threadpool(receiver.incoming.sync)

    def _write(self, receiver: "_RawArchive | _FormArchive", piece: bytes) -> None:
        if self._spool.free_bytes() - len(piece) < self._min_free_bytes:
            raise StorageFullError(
                "The disk has too little free space for the archive. The operator has to free"
                " space."
            )
        receiver.feed(piece)
        if receiver.incoming.size_bytes > self.limits.max_bytes:
            raise UploadTooLargeError(
                f"The archive is larger than the limit of {self.limits.max_bytes:,} bytes. "
                f"Send fewer images."
            )


def _receiver(request: Request, incoming: Incoming) -> "_RawArchive | _FormArchive":
    media_type, parameters = parse_options_header(request.headers.get("content-type", ""))
    if media_type in _RAW:
        return _RawArchive(incoming)
    if media_type == b"multipart/form-data":
        return _FormArchive(boundary_of(parameters), incoming)
    raise UnsupportedUploadError(
        "send a zip archive as the body with Content-Type: application/zip, or as multipart/"
        f"form-data in a part named '{_PART}'; or name a data set, see GET /datasets"
    )


class _RawArchive:
    def __init__(self, incoming: Incoming) -> None:
        self.incoming = incoming

    def feed(self, piece: bytes) -> None:
        self.incoming.add(piece)

    def finish(self) -> None:
        """Write the whole body to the archive."""


class _FormArchive:
    def __init__(self, boundary: bytes, incoming: Incoming) -> None:
        self.incoming = incoming
        self._files = 0
        self._reader = MultipartReader(boundary, self._begin)

    def feed(self, piece: bytes) -> None:
        self._reader.feed(piece)

    def finish(self) -> None:
        self._reader.finish()
        if not self._files:
            raise MalformedUploadError(
                f"The form has no archive. Send it in a part named '{_PART}'."
            )

    def _begin(self, name: str, _filename: str | None) -> Incoming:
        if name != _PART:
            raise MalformedUploadError(f"{part_called(name)}; send the archive as '{_PART}'")
        self._files += 1
        if self._files > 1:
            raise UploadTooLargeError("The form has more than one archive. Send one at a time.")
        return self.incoming
