"""Receives forms and images over HTTP, counting every byte before it is kept.

A form is multipart/form-data with the parts that its `Layout` names; a raw image
(`Content-Type: image/*`) may stand for a form of one image. Nothing is written to disk. An image
that is too large costs only itself: its bytes are dropped as they arrive, and its neighbours are
kept.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.vision.errors import AtelierError

_MAX_FIELD_BYTES = 2000
_MAX_FIELDS = 64


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


@dataclass
class _Held:
    """Bytes that one request holds."""

    bytes: int = 0


class Uploads:
    """Receives forms within limits that all requests share."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._held_bytes = 0

    @asynccontextmanager
    async def receive(self, request: Request, layout: Layout) -> AsyncIterator[Form]:
        """Receive a form with one image or more; its bytes count as held until the exit.

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
        receiver = _receiver(request.headers.get("content-type", ""), layout, self._limits)
        held = _Held()
        try:
            await self._read(request, receiver, held)
            yield receiver.finish()
        finally:
            self._held_bytes -= held.bytes

    async def _read(
        self, request: Request, receiver: "_RawImage | _FormParts", held: "_Held"
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


def _receiver(content_type: str, layout: Layout, limits: UploadLimits) -> "_RawImage | _FormParts":
    media_type, parameters = parse_options_header(content_type)
    if media_type == b"multipart/form-data":
        boundary = parameters.get(b"boundary")
        if not boundary:
            raise MalformedUploadError("the Content-Type names no multipart boundary")
        return _FormParts(boundary, layout, limits)
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
    """Collects the parts of a multipart body as the parser finds them."""

    def __init__(self, boundary: bytes, layout: Layout, limits: UploadLimits) -> None:
        self._layout = layout
        self._limits = limits
        self._images: list[_Part] = []
        self._fields: list[_Part] = []
        self._present = _Part("", None, 0)
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

    def finish(self) -> Form:
        if not self._complete:
            raise MalformedUploadError("the multipart body is cut short: no closing boundary")
        if not self._images:
            raise MalformedUploadError(f"no image was sent; send {self._layout}")
        fields: dict[str, list[str]] = {}
        for field in self._fields:
            fields.setdefault(field.name, []).append(field.text())
        return Form([image.image() for image in self._images], fields)

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
        filename = options.get(b"filename", b"").decode(errors="replace") or None
        if name in self._layout.images:
            self._begin(self._images, self._limits.max_request_files, "files")
            self._present = _Part(name, filename, self._limits.max_image_bytes)
            self._images.append(self._present)
        elif name in self._layout.fields:
            self._begin(self._fields, _MAX_FIELDS, "fields")
            self._present = _Part(name, None, _MAX_FIELD_BYTES)
            self._fields.append(self._present)
        else:
            found = f"a part named {name!r}" if name else "a part without a name"
            raise MalformedUploadError(f"{found}; send {self._layout}{self._other_fields()}")

    @staticmethod
    def _begin(parts: list["_Part"], most: int, what: str) -> None:
        if len(parts) == most:
            raise UploadTooLargeError(f"a request may have at most {most} {what}")

    def _other_fields(self) -> str:
        names = ", ".join(sorted(self._layout.fields))
        return f", and fields named {names}" if names else ""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._present.add(data[start:end])

    def _on_end(self) -> None:
        self._complete = True


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
