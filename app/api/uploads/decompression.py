"""Streaming decompression of request bodies with a size limit (decompression bombs)."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable

from app.api.problems import ApiError, ProblemType
from app.api.uploads.body import UploadTooLargeError
from app.api.uploads.multipart import MalformedUploadError

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_PIECE_BYTES = 65_536


class UnsupportedEncodingError(ApiError):
    """The Content-Encoding is not supported."""

    problem_type = ProblemType(415, "unsupported_encoding", "Not a supported Content-Encoding")


def window_bits_of(encoding: str) -> int | None:
    """Return zlib's `wbits` for a Content-Encoding, or None for an uncompressed body.

    Raises:
        UnsupportedEncodingError: the encoding is neither `gzip` nor `deflate`.
    """
    encoding = encoding.lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in _WINDOW_BITS:
        raise UnsupportedEncodingError("Compress the body with gzip or deflate, or not at all.")
    return _WINDOW_BITS[encoding]


async def decompressed(
    chunks: Iterable[bytes], window_bits: int, max_bytes: int
) -> AsyncIterator[bytes]:
    """Decompress a received body. Between two chunks, other tasks may run.

    Raises:
        UploadTooLargeError: it is larger than `max_bytes` when decompressed.
        MalformedUploadError: it is not compressed in this way, or it is truncated.
    """
    unpacker = zlib.decompressobj(window_bits)
    unpacked_bytes = 0
    for chunk in chunks:
        while True:
            try:
                piece = unpacker.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                raise MalformedUploadError(f"The body cannot be decompressed: {error}.") from None
            unpacked_bytes += len(piece)
            if unpacked_bytes > max_bytes:
                raise UploadTooLargeError(
                    f"The decompressed request is larger than the limit of {max_bytes:,} "
                    f"bytes. Send less."
                )
            yield piece
            if unpacker.unused_data:
                raise MalformedUploadError(
                    "Bytes follow the end of the compressed data. Send a single compressed stream."
                )
            chunk = unpacker.unconsumed_tail  # noqa: PLW2901 - the rest of it
            if not chunk and len(piece) < _PIECE_BYTES:
                break
            await asyncio.sleep(0)  # let other tasks run
    if not unpacker.eof:
        raise MalformedUploadError("The body is truncated: the compressed data has no end.")
