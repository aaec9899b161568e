"""Well-formed files that ask for far more work than their width and height say."""

import struct
import time
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from app.vision.errors import ImageTooLargeError, UndecodableImageError
from app.vision.images import ImageLimits, read_header
from tests.patience import patient
from tests.pictures import encode, photograph

LIMITS = ImageLimits()


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory with entries (tag, type, count, value)."""
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + packed + bytes(4) + tail


def tiff_of_huge_tiles() -> bytes:
    return tiff((256, 4, 1, 1), (257, 4, 1, 320_000), (322, 4, 1, 1 << 26), (323, 4, 1, 16))


def small_tiff_in_one_huge_tile() -> bytes:
    return tiff((256, 3, 1, 64), (257, 3, 1, 64), (322, 4, 1, 1 << 15), (323, 4, 1, 1 << 15))


def big_tiff_of_huge_tiles() -> bytes:
    entries = ((256, 4, 1, 64), (257, 4, 1, 64), (322, 16, 1, 1 << 40), (323, 16, 1, 1 << 40))
    packed = b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
    return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, len(entries)) + packed


def tiff_of_millions_of_strips() -> bytes:
    count = 9_000_000
    return tiff((256, 3, 1, 1), (257, 3, 1, 1000), (273, 3, count, 100), tail=bytes(2 * count))


def tiff_of_millions_of_strips_as_bytes() -> bytes:
    count = 18_000_000
    return tiff((256, 3, 1, 1), (257, 3, 1, 1000), (273, 1, count, 100), tail=bytes(count))


def jpeg_of_a_million_segments() -> bytes:
    data = encode(photograph(), "JPEG")
    return data[:2] + b"\xff\xe1\x00\x09Exif\0\0a" * 1_000_000 + data[2:]


def jpeg_of_many_exif_blocks() -> bytes:
    data = encode(photograph(), "JPEG")
    block = b"\xff\xe1" + struct.pack(">H", 60_000) + b"Exif\0\0" + bytes(60_000 - 8)
    return data[:2] + block * 100 + data[2:]


def png_of_a_million_chunks() -> bytes:
    data = encode(photograph())
    chunk = bytes(4) + b"abCd" + struct.pack(">L", zlib.crc32(b"abCd"))
    return data[:33] + chunk * 1_000_000 + data[33:]


def bmp_of_endless_run_lengths() -> bytes:
    header = struct.pack("<LiiHHLLiiLL", 40, 2000, 2000, 1, 8, 1, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", 0, 0, 0, 54 + 1024) + header + bytes(1024 + 5_000_000)


@pytest.mark.parametrize(
    "make",
    [
        tiff_of_huge_tiles,
        small_tiff_in_one_huge_tile,
        big_tiff_of_huge_tiles,
        tiff_of_millions_of_strips,
        tiff_of_millions_of_strips_as_bytes,
        jpeg_of_a_million_segments,
        jpeg_of_many_exif_blocks,
        png_of_a_million_chunks,
        bmp_of_endless_run_lengths,
    ],
)
def test_a_file_of_too_much_work_is_refused_at_once(make: Callable[[], bytes]) -> None:
    data = make()
    started = time.process_time()
    with pytest.raises((ImageTooLargeError, UndecodableImageError)):
        read_header(data, LIMITS)
    assert time.process_time() - started < patient(0.5)


def test_a_tile_counts_as_a_whole() -> None:
    data = tiff((256, 3, 1, 100), (257, 3, 1, 70), (322, 3, 1, 64), (323, 3, 1, 64))
    with pytest.raises(ImageTooLargeError, match="16,384 pixels"):
        read_header(data, ImageLimits(max_pixels=10_000))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("big_tiff", [False, True])
def test_ordinary_tiff_files_pass(compression: str | None, big_tiff: bool) -> None:
    data = encode(photograph(300, 200), "TIFF", compression=compression, big_tiff=big_tiff)
    assert read_header(data, LIMITS).decode().size == (300, 200)


def test_ordinary_files_with_metadata_pass() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description" * 1000
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        data = encode(photograph(), image_format, exif=exif, icc_profile=bytes(200_000))
        assert read_header(data, LIMITS).decode().size == (64, 48)


def test_small_run_length_coded_bitmaps_pass() -> None:
    header = struct.pack("<LiiHHLLiiLL", 40, 4, 2, 1, 8, 1, 0, 0, 0, 0, 0)
    palette = bytes((0, 0, 0, 0, 255, 255, 255, 0)) + bytes(1016)
    rows = b"\x04\x01\0\0" + b"\x04\x00\0\0" + b"\0\x01"
    data = b"BM" + struct.pack("<LHHL", 0, 0, 0, 54 + 1024) + header + palette + rows
    image = read_header(data, LIMITS).decode()
    assert image.getpixel((0, 1)) == (255, 255, 255)
    assert image.getpixel((0, 0)) == (0, 0, 0)
