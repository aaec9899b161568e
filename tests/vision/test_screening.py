"""Valid files that need far more work than their width and height suggest."""

import struct
import time
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from app.limits import ImageLimits
from app.vision.errors import ImageTooLargeError, UndecodableImageError
from app.vision.images import configure_pillow, read_header
from tests.patience import patient
from tests.pictures import encode, photograph

LIMITS = ImageLimits()


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """Return a little-endian TIFF of one directory with entries (tag, type, count, value)."""
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


def jpeg_of_millions_of_bytes_between_segments() -> bytes:
    data = encode(photograph(), "JPEG")
    return data[:2] + b"\xff\xe1\0\2" + b"j" * 10_000_000 + data[2:]


def jpeg_of_a_million_segments_after_an_early_end() -> bytes:
    data = encode(photograph(), "JPEG")
    return data[:2] + b"\xff\xd9" + b"\xff\xe1\x00\x09Exif\0\0a" * 1_000_000 + data[2:]


def jpeg_of_a_million_photoshop_blocks() -> bytes:
    data = encode(photograph(), "JPEG")
    payload = b"Photoshop 3.0\0" + (b"8BIM\x04\0\0\0" + bytes(4)) * 5400
    segment = b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload
    return data[:2] + segment * 200 + data[2:]


def png_of_many_profiles() -> bytes:
    return png_with(b"iCCP" + b"a\0\0" + zlib.compress(bytes(1_000_000)), 1000)


def png_of_many_compressed_texts_that_are_not_utf8() -> bytes:
    text = b"iTXt" + b"a\0\1\0\0\0" + zlib.compress(b"\xff" * 1_000_000)  # not UTF-8
    return png_with(text, 1000)


def png_with(chunk: bytes, times: int) -> bytes:
    data = encode(photograph())
    packed = struct.pack(">L", len(chunk) - 4) + chunk + struct.pack(">L", zlib.crc32(chunk))
    return data[:33] + packed * times + data[33:]


def gif_with(blocks: bytes) -> bytes:
    """Return a GIF with `blocks` before its first image."""
    data = encode(photograph(), "GIF")
    first = 13 + (3 << ((data[10] & 7) + 1))
    return data[:first] + blocks + data[first:]


def gif_of_a_comment_in_millions_of_blocks() -> bytes:
    return gif_with(b"!\xfe" + b"\1a" * 5_000_000 + b"\0")


def gif_of_an_extension_in_millions_of_blocks() -> bytes:
    return gif_with(b"!\x01" + b"\1a" * 5_000_000 + b"\0")


def gif_of_millions_of_bytes_between_blocks() -> bytes:
    return gif_with(b"j" * 10_000_000)


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
        jpeg_of_millions_of_bytes_between_segments,
        jpeg_of_a_million_segments_after_an_early_end,
        jpeg_of_a_million_photoshop_blocks,
        png_of_many_profiles,
        png_of_many_compressed_texts_that_are_not_utf8,
        gif_of_a_comment_in_millions_of_blocks,
        gif_of_an_extension_in_millions_of_blocks,
        gif_of_millions_of_bytes_between_blocks,
    ],
)
def test_file_of_excessive_work_is_refused_quickly(make: Callable[[], bytes]) -> None:
    data = make()
    started = time.process_time()
    with pytest.raises((ImageTooLargeError, UndecodableImageError)):
        read_header(data, LIMITS)
    assert time.process_time() - started < patient(0.5)


@pytest.mark.parametrize(
    ("mode", "options", "scans"),
    [
        ("RGB", {}, 1),
        ("L", {"progressive": True}, 6),
        ("RGB", {"progressive": True}, 10),
        ("CMYK", {"progressive": True}, 18),
        ("RGB", {"progressive": True, "restart_marker_blocks": 1}, 10),
    ],
)
def test_jpeg_scans_are_counted(mode: str, options: dict[str, object], scans: int) -> None:
    data = encode(photograph().convert(mode), "JPEG", **options)
    assert read_header(data, LIMITS).scans == scans


def test_jpeg_scans_of_embedded_images_are_not_counted() -> None:
    thumbnail = encode(photograph(16, 12), "JPEG", progressive=True)
    pictures = b"\xff\xe2" + struct.pack(">H", 2 + 3 * len(thumbnail)) + thumbnail * 3
    data = encode(photograph(), "JPEG", progressive=True)
    assert read_header(data[:2] + pictures + data[2:] + data * 3, LIMITS).scans == 10


def progressive(scans: int, between: bytes = b"", **options: object) -> bytes:
    """Return a progressive JPEG that repeats its last scan."""
    data = encode(Image.new("RGB", (64, 64)), "JPEG", progressive=True, **options)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + between + last * (scans - 10) + data[-2:]


def test_jpeg_with_the_maximum_number_of_scans_is_decoded() -> None:
    header = read_header(progressive(32), LIMITS)
    assert header.scans == 32
    assert header.decode().size == (64, 64)
    with pytest.raises(ImageTooLargeError, match=r"more than 32 scans\. Save it again"):
        read_header(progressive(33), LIMITS)


@pytest.mark.parametrize("between", [b"\xff\x02\xff\xff", b"\xff\xd8\xff\xff", b"\xff\xff\xff"])
def test_hidden_jpeg_scans_are_counted(between: bytes) -> None:
    with pytest.raises(ImageTooLargeError, match="scans"):
        read_header(progressive(40, between, restart_marker_blocks=1), LIMITS)


def test_more_scans_raise_the_decode_cost() -> None:
    baseline, usual, most = (
        read_header(data, LIMITS).decode_cost
        for data in (
            encode(Image.new("RGB", (64, 64)), "JPEG"),
            progressive(10),
            progressive(32),
        )
    )
    assert baseline == 64 * 64
    assert 1.5 * baseline < usual < 2 * baseline
    assert 3.5 * baseline < most < 4 * baseline


def test_python_decoder_raises_the_decode_cost() -> None:
    header = struct.pack("<LiiHHLLiiLL", 40, 40, 20, 1, 8, 1, 0, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<LHHL", 0, 0, 0, 54 + 1024) + header + bytes(1024 + 100)
    assert read_header(data, LIMITS).decode_cost == 20 * 800


def test_tiff_with_too_many_jpeg_scans_is_undecodable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", "100")
    configure_pillow()
    assert read_header(tiff_of_a_jpeg(progressive(30)), LIMITS).decode().size == (64, 64)
    with pytest.raises(UndecodableImageError):
        read_header(tiff_of_a_jpeg(progressive(40)), LIMITS).decode()


def tiff_of_a_jpeg(data: bytes) -> bytes:
    """Return a TIFF file whose only strip is a JPEG of 64 by 64 pixels."""
    shape = ((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 6))
    start = 8 + 2 + 9 * 12 + 4
    strip = ((273, 4, 1, start), (277, 3, 1, 3), (278, 4, 1, 64), (279, 4, 1, len(data)))
    return tiff(*shape, *strip, tail=data)


def test_partial_tiles_count_as_whole_tiles() -> None:
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


def test_small_run_length_encoded_bmp_files_pass() -> None:
    header = struct.pack("<LiiHHLLiiLL", 40, 4, 2, 1, 8, 1, 0, 0, 0, 0, 0)
    palette = bytes((0, 0, 0, 0, 255, 255, 255, 0)) + bytes(1016)
    rows = b"\x04\x01\0\0" + b"\x04\x00\0\0" + b"\0\x01"
    data = b"BM" + struct.pack("<LHHL", 0, 0, 0, 54 + 1024) + header + palette + rows
    image = read_header(data, LIMITS).decode()
    assert image.getpixel((0, 1)) == (255, 255, 255)
    assert image.getpixel((0, 0)) == (0, 0, 0)
