"""Receives forms and images over HTTP, counting every byte before it is kept.

A form is multipart/form-data with the parts that its `Layout` names; a raw image
(`Content-Type: image/*`) may stand for a form of one image. Nothing is written to disk. An image
that is too large costs only itself: its bytes are dropped as they arrive, and its neighbours are
kept. `Uploads.receive_whole` is for bodies that are read in another way.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from app.api.uploads.body import ArrivalTimeouts, UploadTimeoutError, UploadTooLargeError, arriving
from app.api.uploads.decompression import inflated, window_bits_of
from app.api.uploads.multipart import (
    MalformedUploadError,
    MultipartReader,
    boundary_of,
    part_called,
)
from app.errors import AtelierError
from app.serving.errors import QueueFullError
from app.vision.errors import ImageTooLargeError, UndecodableImageError, UnsupportedFormatError

_MAX_FIELD_BYTES = 2000
_MAX_FIELDS = 64
_PIECE_BYTES = 65_536


class UnsupportedUploadError(AtelierError):
    """The request's Content-Type is neither an image nor multipart/form-data."""


class UploadsBusyError(AtelierError):
    """Other requests hold all the memory that uploads may use."""


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
"""What may be wrong with pictures that are sent, or with the moment."""


@dataclass(frozen=True)
class UploadLimits:
    """How much requests may send."""

    max_image_bytes: int
    max_request_bytes: int
    max_request_files: int
    max_held_bytes: int
    timeouts: ArrivalTimeouts

    @property
    def max_flow_bytes(self) -> int:
        """Bytes that one flow may hold: half of all, but one request always fits."""
        return min(max(self.max_held_bytes // 2, self.max_request_bytes), self.max_held_bytes)


@dataclass(frozen=True)
class Layout:
    """The parts that a form may have: images, and fields of text. `raw` is what a raw image is."""

    images: frozenset[str]
    fields: frozenset[str] = frozenset()
    raw: str | None = None

    def __str__(self) -> str:
        """Say what may be sent."""
        images = " and ".join(f"'{name}'" for name in sorted(self.images))
        return f"images in parts named {images}"


@dataclass(frozen=True)
class Upload:
    """One received image: at most one byte more than the limit, so that its reader refuses it."""

    part: str
    filename: str | None
    data: bytes


@dataclass(frozen=True)
class Form:
    """What a request brought: images in the order in which they were sent, and text by field."""

    images: list[Upload]
    fields: dict[str, list[str]]

    def of(self, part: str) -> list[Upload]:
        """Return the images of one part."""
        return [image for image in self.images if image.part == part]


class Uploads:
    """Receives forms within limits that all requests share."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._held_bytes = Counter[str]()

    @property
    def timeouts(self) -> ArrivalTimeouts:
        """Limits on the time in which a request arrives."""
        return self._limits.timeouts

    @property
    def held_bytes(self) -> int:
        """Bytes that all requests hold now."""
        return self._held_bytes.total()

    @asynccontextmanager
    async def receive(self, request: Request, layout: Layout, flow: str) -> AsyncIterator[Form]:
        """Receive a form with one image or more; its bytes count as held until the exit.

        Raises:
            UnsupportedUploadError: the Content-Type is not one of the two forms.
            MalformedUploadError: the body is not what its Content-Type says, or has no image.
            UploadTooLargeError: too many bytes or files.
            UploadTimeoutError: it took too long.
            UploadsBusyError: the flow, or all flows together, hold too many bytes already.
            ClientDisconnect: the client has gone.
        """
        receiver = _receiver(request.headers.get("content-type", ""), layout, self._limits)
        with self._counted(flow) as count:
            async for chunk in self._arriving(request):
                count(len(chunk))
                receiver.feed(chunk)
            yield receiver.finish()

    @asynccontextmanager
    async def receive_whole(self, request: Request, flow: str) -> AsyncIterator[bytearray]:
        """Receive a body of any kind, unpacked; its bytes count as held until the exit.

        It is unpacked once it has arrived: a slow client holds no more than it has sent.

        Raises:
            UnsupportedEncodingError: it is compressed, and neither with gzip nor with deflate.
            MalformedUploadError: it cannot be unpacked.
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
                async for piece in inflated(chunks, window_bits, self._limits.max_request_bytes):
                    count(len(piece))
                    body += piece
            yield body

    def _arriving(self, request: Request) -> AsyncIterator[bytes]:
        return arriving(request, self._limits.max_request_bytes, self._limits.timeouts)

    @contextmanager
    def _counted(self, flow: str) -> Iterator[Callable[[int], None]]:
        """Count bytes as held by a flow until the exit; fewer than none are bytes let go."""
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
                raise UploadsBusyError("other uploads take all the memory for uploads")

        try:
            yield count
        finally:
            self._held_bytes[flow] -= held_bytes
            if not self._held_bytes[flow]:
                del self._held_bytes[flow]


def _taken(data: bytearray, count: Callable[[int], None]) -> Iterator[bytes]:
    """Take data from the front, piece by piece, and count them as let go."""
    while data:
        piece = bytes(data[:_PIECE_BYTES])
        del data[:_PIECE_BYTES]
        count(-len(piece))
        yield piece


def _receiver(content_type: str, layout: Layout, limits: UploadLimits) -> "_RawImage | _FormParts":
    media_type, parameters = parse_options_header(content_type)
    if media_type == b"multipart/form-data":
        return _FormParts(boundary_of(parameters), layout, limits)
    if layout.raw is None:
        raise UnsupportedUploadError(f"send multipart/form-data, {layout}")
    if media_type.startswith(b"image/"):
        return _RawImage(layout.raw, limits)
    raise UnsupportedUploadError(
        f"send the image as the body with Content-Type: image/*, or multipart/form-data, {layout}"
    )


class _RawImage:
    def __init__(self, part: str, limits: UploadLimits) -> None:
        self._part = _Part(part, None, limits.max_image_bytes)

    def feed(self, chunk: bytes) -> None:
        self._part.add(chunk)

    def finish(self) -> Form:
        return Form([self._part.image()], {})


class _FormParts:
    """Collects the parts of a multipart body that the layout names."""

    def __init__(self, boundary: bytes, layout: Layout, limits: UploadLimits) -> None:
        self._layout = layout
        self._limits = limits
        self._images: list[_Part] = []
        self._fields: list[_Part] = []
        self._reader = MultipartReader(boundary, self._begin)

    def feed(self, chunk: bytes) -> None:
        self._reader.feed(chunk)

    def finish(self) -> Form:
        self._reader.finish()
        if not self._images:
            raise MalformedUploadError(f"no image was sent; send {self._layout}")
        fields: dict[str, list[str]] = {}
        for field in self._fields:
            fields.setdefault(field.name, []).append(field.text())
        return Form([image.image() for image in self._images], fields)

    def _begin(self, name: str, filename: str | None) -> "_Part":
        if name in self._layout.images:
            part = _Part(name, filename, self._limits.max_image_bytes)
            return _appended(part, self._images, self._limits.max_request_files, "files")
        if name in self._layout.fields:
            part = _Part(name, None, _MAX_FIELD_BYTES)
            return _appended(part, self._fields, _MAX_FIELDS, "fields")
        raise MalformedUploadError(
            f"{part_called(name)}; send {self._layout}{self._other_fields()}"
        )

    def _other_fields(self) -> str:
        names = ", ".join(sorted(self._layout.fields))
        return f", and fields named {names}" if names else ""


def _appended(part: "_Part", parts: list["_Part"], most: int, what: str) -> "_Part":
    if len(parts) == most:
        raise UploadTooLargeError(f"a request may have at most {most} {what}")
    parts.append(part)
    return part


class _Part:
    """A part that is arriving; what is over the limit is dropped."""

    def __init__(self, name: str, filename: str | None, max_bytes: int) -> None:
        self.name = name
        self._filename = filename
        self._max_bytes = max_bytes
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        room = self._max_bytes + 1 - len(self._data)
        self._data += chunk[:room]

    def image(self) -> Upload:
        data, self._data = bytes(self._data), bytearray()  # never all of a request twice
        return Upload(self.name, self._filename, data)

    def text(self) -> str:
        if len(self._data) > self._max_bytes:
            raise MalformedUploadError(f"the field '{self.name}' is too long")
        try:
            return self._data.decode()
        except UnicodeDecodeError:
            raise MalformedUploadError(f"the field '{self.name}' is not UTF-8") from None
