"""Reads multipart/form-data as it arrives; the bytes of each part go to a sink of its own."""

from collections.abc import Callable, Mapping
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import AtelierError


class MalformedUploadError(AtelierError):
    """The multipart body is broken, or its parts are not what is expected."""


class Sink(Protocol):
    """Takes the bytes of one part."""

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        ...


Begin = Callable[[str, str | None], Sink]
"""Called at the start of each part, with its name (perhaps empty) and file name."""


class MultipartReader:
    """Reads one body."""

    def __init__(self, boundary: bytes, begin: Begin) -> None:
        """Start; raises MalformedUploadError where the boundary cannot be used."""
        self._begin = begin
        self._sink: Sink | None = None
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
        """Read on.

        Raises:
            MalformedUploadError: the body is broken.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedUploadError(f"the multipart body is malformed: {error}") from error

    def finish(self) -> None:
        """Check that the body is whole.

        Raises:
            MalformedUploadError: its end is missing.
        """
        if not self._complete:
            raise MalformedUploadError("the multipart body is cut short: no closing boundary")

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
        self._sink = self._begin(name, filename)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        assert self._sink is not None
        self._sink.add(data[start:end])

    def _on_end(self) -> None:
        self._complete = True


def boundary_of(parameters: Mapping[bytes, bytes]) -> bytes:
    """Return the boundary that the parameters of a Content-Type name.

    Raises:
        MalformedUploadError: there is none.
    """
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise MalformedUploadError("the Content-Type names no multipart boundary")
    return boundary


def part_called(name: str) -> str:
    """Say which part was found where another was expected."""
    return f"a part named {name!r}" if name else "a part without a name"
