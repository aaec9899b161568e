"""Checks of a file's structure before decoding, against decompression bombs.

A file of a few kilobytes with a harmless width and height can keep a decoder busy for hours or make
it allocate gigabytes: by tiles far larger than the image, by millions of segments, or by passes
over all pixels that change nothing. The limits are far above what any real program writes.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from app.vision.errors import ImageTooLargeError, UndecodableImageError

MAX_JPEG_SCANS = 32
"""Maximum number of passes over the pixels of a JPEG image.

libjpeg's own progressive script (jpegtran, Pillow, most editors) makes 10 of a color image and 18
of a CMYK image, and the optimizer of mozjpeg hardly more than 16.
"""

_MAX_PNG_CHUNKS = 50_000
_MAX_COMPRESSED_PNG_CHUNKS = 128  # each decompresses to as much as 1 MB
_PLAIN_PNG_CHUNKS = frozenset(
    b"IHDR PLTE tRNS IDAT IEND cHRM gAMA sRGB pHYs bKGD sBIT tIME".split()
)
_MAX_JPEG_SEGMENTS = 1_000
_MAX_EXIF_SEGMENTS = 4  # 64 kB each
_MAX_PHOTOSHOP_SEGMENTS = 64  # 64 kB each, read by a loop in Python over blocks of 12 bytes
_MAX_TIFF_ENTRIES = 4_096
_MAX_TIFF_VALUES = 65_536
_MAX_RUN_LENGTH_BYTES = 4_000_000  # decoded in Python
_MAX_RUN_LENGTH_PIXELS = 4_000_000

_JPEG_MARKER = re.compile(
    rb"\xff[^\x00\xff\xd0-\xd7]"
)  # starts a segment: no byte stuffing, no restart marker
_JPEG_FIRST_SEGMENT = 0xC0  # lower markers have no length
_JPEG_START, _JPEG_END, _JPEG_START_OF_SCAN = 0xD8, 0xD9, 0xDA
_JPEG_APP1, _JPEG_APP13 = 0xE1, 0xED
_PNG_COMPRESSED_CHUNKS = (b"iCCP", b"zTXt", b"iTXt")
_BMP_RUN_LENGTH_ENCODINGS = (1, 2)
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 256, 257, 322, 323
_TIFF_TABLES = (273, 279, 324, 325)  # offsets and lengths of strips and tiles
_TIFF_BYTE_TYPES = (1, 2, 6, 7)
_TIFF_SCALARS = {1: "B", 3: "H", 4: "L", 16: "Q"}


@dataclass(frozen=True)
class DecodeCost:
    """The cost of decoding a file, from its structure.

    `pixels` is the number that the decoder allocates at one time if it is not the image's width
    times height; else 0. `scans` is the number of passes over all pixels.
    """

    pixels: int = 0
    scans: int = 1


def screen(data: bytes) -> DecodeCost:
    """Check a file of one of the supported formats and return the cost of decoding it.

    Raises:
        ImageTooLargeError: decoding the structure would take too much work.
        UndecodableImageError: the structure is damaged.
    """
    try:
        if data.startswith(b"\x89PNG"):
            _screen_png(data)
        elif data.startswith(b"\xff\xd8"):
            return DecodeCost(scans=_jpeg_scans(data))
        elif data.startswith(b"BM"):
            _screen_bmp(data)
        elif data.startswith((b"II", b"MM")):
            return DecodeCost(pixels=_tiled_pixels(data))
    except struct.error as error:
        raise UndecodableImageError("The image header is damaged or truncated.") from error
    return DecodeCost()


def is_plain(data: bytes) -> bool:
    """Return whether this is a JPEG, or a PNG in which only the pixels are compressed.

    The decoding time of such a file follows from its size.
    """
    if data.startswith(b"\x89PNG"):
        return all(chunk_type in _PLAIN_PNG_CHUNKS for chunk_type in _png_chunks(data))
    return data.startswith(b"\xff\xd8\xff")


def _screen_png(data: bytes) -> None:
    compressed = profiles = 0
    for count, chunk_type in enumerate(_png_chunks(data)):
        compressed += chunk_type in _PNG_COMPRESSED_CHUNKS
        profiles += chunk_type == b"iCCP"
        if count >= _MAX_PNG_CHUNKS or compressed > _MAX_COMPRESSED_PNG_CHUNKS:
            raise _too_complex("chunks")
        if profiles > 1:
            raise _too_complex("color profiles")


def _png_chunks(data: bytes) -> Iterator[bytes]:
    """Yield the type of each chunk."""
    position = 8
    while position + 8 <= len(data):
        length, chunk_type = struct.unpack_from(">L4s", data, position)
        yield chunk_type
        position += 12 + length


def _jpeg_scans(data: bytes) -> int:
    """Screen a JPEG file and count its scans."""
    exif_segments = photoshop_segments = scans = 0
    for count, (marker, start) in enumerate(_jpeg_segments(data)):
        exif_segments += marker == _JPEG_APP1 and data.startswith(b"Exif", start)
        photoshop_segments += marker == _JPEG_APP13
        scans += marker == _JPEG_START_OF_SCAN
        if (
            count >= _MAX_JPEG_SEGMENTS
            or exif_segments > _MAX_EXIF_SEGMENTS
            or photoshop_segments > _MAX_PHOTOSHOP_SEGMENTS
        ):
            raise _too_complex("segments")
        if scans > MAX_JPEG_SCANS:
            raise ImageTooLargeError(
                f"The JPEG file has more than {MAX_JPEG_SCANS} scans. Save it again as a baseline "
                "JPEG file or with the usual progressive settings."
            )
    return max(1, scans)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker and the data position of each segment up to the end of the first image.

    Markers are found as libjpeg finds them: unknown markers are assumed to have no length, so that
    no scan hides behind a false length. Like Pillow, ignore an end marker before the first scan.
    """
    position = 2
    has_scan = False
    while (found := _JPEG_MARKER.search(data, position)) and found.end() + 2 <= len(data):
        position = found.end()
        marker = data[position - 1]
        if marker == _JPEG_END and has_scan:
            return
        has_scan |= marker == _JPEG_START_OF_SCAN
        if marker >= _JPEG_FIRST_SEGMENT and marker not in (_JPEG_START, _JPEG_END):
            (length,) = struct.unpack_from(">H", data, position)
            yield marker, position + 2
            position += max(2, length)
        else:
            yield marker, position


def _screen_bmp(data: bytes) -> None:
    (header_bytes,) = struct.unpack_from("<L", data, 14)
    if header_bytes < 40:  # the OS/2 header, which has no compression
        return
    width, height, _, _, encoding = struct.unpack_from("<iiHHL", data, 18)
    if encoding in _BMP_RUN_LENGTH_ENCODINGS and (
        len(data) > _MAX_RUN_LENGTH_BYTES or abs(width * height) > _MAX_RUN_LENGTH_PIXELS
    ):
        raise ImageTooLargeError("The run-length encoded BMP file is too large. Save it as PNG.")


def _tiled_pixels(data: bytes) -> int:
    """Check a TIFF file; return the pixels of all its tiles, which may exceed the image."""
    values: dict[int, int] = {}
    for tag, value_type, count, value in _tiff_entries(data):
        if count > _MAX_TIFF_VALUES and (tag in _TIFF_TABLES or value_type not in _TIFF_BYTE_TYPES):
            raise _too_complex("values")
        values.setdefault(tag, value)
    tile_width, tile_height = values.get(_TIFF_TILE_WIDTH, 0), values.get(_TIFF_TILE_HEIGHT, 0)
    if not (tile_width and tile_height):
        return 0
    across = -(-values.get(_TIFF_WIDTH, 0) // tile_width)
    down = -(-values.get(_TIFF_HEIGHT, 0) // tile_height)
    return across * tile_width * down * tile_height


def _tiff_entries(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield the tag, type, count and first value of each entry of the first directory."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (directory,) = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, directory)
    if entries > _MAX_TIFF_ENTRIES:
        raise _too_complex("entries")
    head = struct.Struct(order + ("HHQ" if big else "HHL"))
    entry_bytes = head.size + (8 if big else 4)
    position = directory + (8 if big else 2)
    for start in range(position, position + entries * entry_bytes, entry_bytes):
        tag, value_type, count = head.unpack_from(data, start)
        scalar = _TIFF_SCALARS.get(value_type)
        value = struct.unpack_from(order + scalar, data, start + head.size)[0] if scalar else 0
        yield tag, value_type, count, value


def _too_complex(parts: str) -> ImageTooLargeError:
    return ImageTooLargeError(f"The file has too many {parts}. Save it again.")
