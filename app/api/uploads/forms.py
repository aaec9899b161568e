"""Parsing of forms: multipart/form-data with images and text, or a raw image.

A form has the parts that its `Layout` names; a raw image (`Content-Type: image/*`) may replace a
form with one image. If an image is too large, only its own bytes are dropped.
"""

from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from app.api.problems import ApiError, ProblemType
from app.api.uploads.body import UploadLimits, UploadTooLargeError
from app.api.uploads.multipart import (
    MalformedUploadError,
    MultipartReader,
    boundary_of,
    part_called,
)

_MAX_FIELD_BYTES = 2000
_MAX_FIELDS = 64


class UnsupportedUploadError(ApiError):
    """The request's Content-Type is neither an image nor multipart/form-data."""

    problem_type = ProblemType(415, "unsupported_media_type", "Not a supported upload")


@dataclass(frozen=True)
class Layout:
    """The parts of a form: images and text fields. `raw` is the part of a raw image."""

    images: frozenset[str]
    fields: frozenset[str] = frozenset()
    raw: str | None = None

    def __str__(self) -> str:
        """Describe the parts, for error messages."""
        images = " and ".join(f"'{name}'" for name in sorted(self.images))
        return f"images in parts named {images}"


@dataclass(frozen=True)
class Upload:
    """A received image: at most one byte over the limit, so that its reader refuses it."""

    part: str
    filename: str | None
    data: bytes


@dataclass(frozen=True)
class Form:
    """A received form: images in the order in which they were sent, and text by field."""

    images: list[Upload]
    fields: dict[str, list[str]]

    def of(self, part: str) -> list[Upload]:
        """Return the images of one part."""
        return [image for image in self.images if image.part == part]


def form_parser(
    content_type: str, layout: Layout, limits: UploadLimits
) -> "_RawImage | _FormParts":
    """Return a parser for a request body of this Content-Type.

    Raises:
        UnsupportedUploadError: the Content-Type is not that of a form or an image.
        MalformedUploadError: the boundary is missing.
    """
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
    """A parser that collects the parts of a multipart body."""

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
            raise MalformedUploadError(f"The form has no image. Send {self._layout}.")
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
        raise UploadTooLargeError(f"The request has too many {what}; the limit is {most}.")
    parts.append(part)
    return part


class _Part:
    """A part that is being received. Bytes over the limit are dropped."""

    def __init__(self, name: str, filename: str | None, max_bytes: int) -> None:
        self.name = name
        self._filename = filename
        self._max_bytes = max_bytes
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        room = self._max_bytes + 1 - len(self._data)
        self._data += chunk[:room]

    def image(self) -> Upload:
        data, self._data = bytes(self._data), bytearray()  # never hold a request twice
        return Upload(self.name, self._filename, data)

    def text(self) -> str:
        if len(self._data) > self._max_bytes:
            raise MalformedUploadError(f"The field '{self.name}' is too long.")
        try:
            return self._data.decode()
        except UnicodeDecodeError:
            raise MalformedUploadError(f"The field '{self.name}' is not UTF-8.") from None
