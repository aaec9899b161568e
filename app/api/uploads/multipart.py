"""Streaming multipart/form-data parser that writes each part to a sink."""

from collections.abc import Callable, Mapping
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.problems import ApiError, ProblemType


class MalformedUploadError(ApiError):
    """The multipart body is malformed, or has other parts than expected."""

    problem_type = ProblemType(422, "malformed_upload", "The upload is malformed")


class Sink(Protocol):
    """The destination of one part's bytes."""

    def add(self, chunk: bytes) -> None:
        """Write the next bytes."""
        ...


Begin = Callable[[str, str | None], Sink]
"""A function called at the start of each part, with its name (which may be empty) and file name."""


class MultipartReader:
    """A parser of one body."""

    def __init__(self, boundary: bytes, begin: Begin) -> None:
        """Start with a boundary. Raises MalformedUploadError if the boundary is not usable."""
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
            raise MalformedUploadError(f"The multipart boundary is not usable: {error}.") from error

    def feed(self, chunk: bytes) -> None:
        """Parse the next chunk.

        Raises:
            MalformedUploadError: the body is malformed.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedUploadError(f"The multipart body is malformed: {error}.") from error

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            MalformedUploadError: the end is missing.
        """
        if not self._complete:
            raise MalformedUploadError(
                "The multipart body is truncated: the closing boundary is missing."
            )

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
    """Return the boundary from the parameters of a Content-Type.

    Raises:
        MalformedUploadError: there is none.
    """
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise MalformedUploadError("The Content-Type has no multipart boundary.")
    return boundary


def part_called(name: str) -> str:
    """Describe an unexpected part, for error messages."""
    return f"a part named {name!r}" if name else "a part without a name"
