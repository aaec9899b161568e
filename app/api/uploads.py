"""Receives images over HTTP, counting every byte before it is kept.

Two forms: a raw image (`Content-Type: image/*`), or multipart/form-data with one or several parts
named `file`. Nothing is written to disk. An image that is too large costs only itself: its bytes
are dropped as they arrive, and its neighbours are kept.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.vision.errors import AtelierError

_FIELD = "file"


class UnsupportedUploadError(AtelierError):
    """The request's Content-Type is neither an image nor multipart/form-data."""


class MalformedUploadError(AtelierError):
    """The multipart body is broken, or its parts are not what is expected."""


class UploadTooLargeError(AtelierError):
    """The request has more bytes or more files than are accepted."""


class UploadTimeoutError(AtelierError):
    """The request did not arrive in time."""


class UploadsBusyError(AtelierError):
    """Other requests hold all the memory that uploads may use."""


@dataclass(frozen=True)
class UploadLimits:
    """How much requests may send."""

    max_image_bytes: int
    max_request_bytes: int
    max_request_files: int
    max_held_bytes: int
    timeout_s: float
    stall_s: float


@dataclass(frozen=True)
class Upload:
    """One received image: at most one byte more than the limit, so that its reader refuses it."""

    filename: str | None
    data: bytes


@dataclass
class _Held:
    """Bytes that one request holds."""

    bytes: int = 0


class Uploads:
    """Receives the images of requests within limits that all requests share."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._held_bytes = 0

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[list[Upload]]:
        """Receive a request's images, one or more; their bytes count as held until the exit.

        Raises:
            UnsupportedUploadError: the Content-Type is not one of the two forms.
            MalformedUploadError: the body is not what its Content-Type says, or has no image.
            UploadTooLargeError: too many bytes or files.
            UploadTimeoutError: it took too long.
            UploadsBusyError: too many bytes are held already.
            ClientDisconnect: the client has gone.
        """
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limits.max_request_bytes:
            raise self._too_large()
        receiver = _receiver(request.headers.get("content-type", ""), self._limits)
        held = _Held()
        try:
            await self._read(request, receiver, held)
            yield receiver.finish()
        finally:
            self._held_bytes -= held.bytes

    async def _read(
        self, request: Request, receiver: "_RawImage | _ImageParts", held: "_Held"
    ) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + self._limits.timeout_s
        try:
            async with asyncio.timeout(self._limits.stall_s) as patience:
                async for chunk in request.stream():
                    patience.reschedule(min(now() + self._limits.stall_s, deadline))
                    held.bytes += len(chunk)
                    self._held_bytes += len(chunk)
                    if held.bytes > self._limits.max_request_bytes:
                        raise self._too_large()
                    if self._held_bytes > self._limits.max_held_bytes:
                        raise UploadsBusyError("other uploads take all the memory for uploads")
                    receiver.feed(chunk)
        except TimeoutError:
            raise UploadTimeoutError("the upload stalled or took too long; send it again") from None

    def _too_large(self) -> UploadTooLargeError:
        limit = self._limits.max_request_bytes
        return UploadTooLargeError(f"a request may have at most {limit:,} bytes; send fewer images")


def _receiver(content_type: str, limits: UploadLimits) -> "_RawImage | _ImageParts":
    media_type, parameters = parse_options_header(content_type)
    if media_type == b"multipart/form-data":
        boundary = parameters.get(b"boundary")
        if not boundary:
            raise MalformedUploadError("the Content-Type names no multipart boundary")
        return _ImageParts(boundary, limits)
    if media_type.startswith(b"image/"):
        return _RawImage(limits)
    raise UnsupportedUploadError(
        "send the image as the body with Content-Type: image/*, "
        f"or as multipart/form-data in parts named '{_FIELD}'"
    )


class _RawImage:
    def __init__(self, limits: UploadLimits) -> None:
        self._part = _Part(None, limits.max_image_bytes)

    def feed(self, chunk: bytes) -> None:
        self._part.add(chunk)

    def finish(self) -> list[Upload]:
        return [self._part.finish()]


class _ImageParts:
    """Collects the parts of a multipart body as the parser finds them."""

    def __init__(self, boundary: bytes, limits: UploadLimits) -> None:
        self._limits = limits
        self._parts: list[_Part] = []
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise MalformedUploadError(f"the multipart boundary is unusable: {error}") from error

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedUploadError(f"the multipart body is malformed: {error}") from error

    def finish(self) -> list[Upload]:
        if not self._complete:
            raise MalformedUploadError("the multipart body is cut short: no closing boundary")
        if not self._parts:
            raise MalformedUploadError(f"no image was sent; send it in a part named '{_FIELD}'")
        return [part.finish() for part in self._parts]

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        if name != _FIELD:
            found = f"a part named {name!r}" if name else "a part without a name"
            raise MalformedUploadError(f"{found}; send images in parts named '{_FIELD}'")
        if len(self._parts) == self._limits.max_request_files:
            raise UploadTooLargeError(
                f"a request may have at most {self._limits.max_request_files} files"
            )
        filename = options.get(b"filename", b"").decode(errors="replace") or None
        self._parts.append(_Part(filename, self._limits.max_image_bytes))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].add(data[start:end])

    def _on_end(self) -> None:
        self._complete = True


class _Part:
    """An image that is arriving; what is over the limit is dropped."""

    def __init__(self, filename: str | None, max_bytes: int) -> None:
        self._filename = filename
        self._max_bytes = max_bytes
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        room = self._max_bytes + 1 - len(self._data)
        self._data += chunk[:room]

    def finish(self) -> Upload:
        data, self._data = bytes(self._data), bytearray()  # never all of a request twice
        return Upload(self._filename, data)
