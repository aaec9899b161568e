"""A body that arrives compressed: counted as it unfolds, so that little cannot become too much."""

import asyncio
import zlib
from collections.abc import AsyncIterator

from app.api.arriving import UploadTooLargeError
from app.api.multipart import MalformedUploadError
from app.vision.errors import AtelierError

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_PIECE_BYTES = 65_536


class UnsupportedEncodingError(AtelierError):
    """The body is compressed in another way than is read."""


def inflated(chunks: AsyncIterator[bytes], encoding: str, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield a body as it was before its Content-Encoding: `gzip`, `deflate`, or none.

    Raises:
        UnsupportedEncodingError: at once, for another one.
        UploadTooLargeError: it becomes more than `max_bytes`.
        MalformedUploadError: it is not compressed like this, or is cut short.
    """
    if encoding in ("", "identity"):
        return chunks
    if encoding not in _WINDOW_BITS:
        raise UnsupportedEncodingError("compress the body with gzip or deflate, or not at all")
    return _inflated(chunks, encoding, max_bytes)


async def _inflated(
    chunks: AsyncIterator[bytes], encoding: str, max_bytes: int
) -> AsyncIterator[bytes]:
    unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
    unpacked_bytes = 0
    async for chunk in chunks:
        while True:
            try:
                piece = unpacker.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                raise MalformedUploadError(f"the body is not {encoding}: {error}") from None
            unpacked_bytes += len(piece)
            if unpacked_bytes > max_bytes:
                raise UploadTooLargeError(
                    f"a request may have at most {max_bytes:,} bytes before it is compressed"
                )
            yield piece
            if unpacker.unused_data:
                raise MalformedUploadError(f"bytes follow the end of the {encoding}; send one part")
            chunk = unpacker.unconsumed_tail  # noqa: PLW2901 - what is left of it
            if not chunk and len(piece) < _PIECE_BYTES:
                break
            await asyncio.sleep(0)  # others' turn
    if not unpacker.eof:
        raise MalformedUploadError(f"the body is cut short: its {encoding} has no end")
