"""Decompression of bodies, piece by piece and with a size limit."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable

from app.api.uploads.body import UploadTooLargeError
from app.api.uploads.multipart import MalformedUploadError
from app.errors import AtelierError

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_PIECE_BYTES = 65_536


class UnsupportedEncodingError(AtelierError):
    """The body is compressed in another way than is read."""


def window_bits_of(encoding: str) -> int | None:
    """Return the `wbits` of zlib for a Content-Encoding; None where a body is not compressed.

    Raises:
        UnsupportedEncodingError: it is neither `gzip` nor `deflate`.
    """
    encoding = encoding.lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in _WINDOW_BITS:
        raise UnsupportedEncodingError("compress the body with gzip or deflate, or not at all")
    return _WINDOW_BITS[encoding]


async def inflated(
    chunks: Iterable[bytes], window_bits: int, max_bytes: int
) -> AsyncIterator[bytes]:
    """Decompress a body that has arrived; others have their turn between the pieces.

    Raises:
        UploadTooLargeError: it becomes more than `max_bytes`.
        MalformedUploadError: it is not compressed like this, or is cut short.
    """
    unpacker = zlib.decompressobj(window_bits)
    unpacked_bytes = 0
    for chunk in chunks:
        while True:
            try:
                piece = unpacker.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                raise MalformedUploadError(f"the body cannot be decompressed: {error}") from None
            unpacked_bytes += len(piece)
            if unpacked_bytes > max_bytes:
                raise UploadTooLargeError(
                    f"a request may have at most {max_bytes:,} bytes before it is compressed"
                )
            yield piece
            if unpacker.unused_data:
                raise MalformedUploadError(
                    "bytes follow the end of the compressed data; send one part"
                )
            chunk = unpacker.unconsumed_tail  # noqa: PLW2901 - the rest of it
            if not chunk and len(piece) < _PIECE_BYTES:
                break
            await asyncio.sleep(0)  # others' turn
    if not unpacker.eof:
        raise MalformedUploadError("the body is cut short: the compressed data have no end")
