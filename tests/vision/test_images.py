import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from app.limits import ImageLimits
from app.vision.errors import ImageTooLargeError, UndecodableImageError, UnsupportedFormatError
from app.vision.images import PixelBudget, read_header
from tests.patience import patient
from tests.pictures import encode, photograph

LIMITS = ImageLimits()


def decode(data: bytes) -> Image.Image:
    return read_header(data, LIMITS).decode()


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "GIF", "TIFF", "JPEG", "WEBP"])
def test_every_format_is_decoded_to_rgb(image_format: str) -> None:
    header = read_header(encode(photograph(), image_format), LIMITS)
    assert header.format == image_format
    assert header.pixels == 64 * 48
    image = header.decode()
    assert (image.mode, image.size) == ("RGB", (64, 48))
    difference = np.abs(np.asarray(image, float) - np.asarray(photograph(), float)).mean()
    assert difference < (0.01 if image_format in {"PNG", "BMP", "TIFF"} else 25)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_image_of_every_exif_orientation_is_decoded_upright(
    orientation: int, image_format: str
) -> None:
    back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = photograph() if back is None else photograph().transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 95}
    image = decode(encode(stored, image_format, exif=exif, **options))
    assert image.size == (64, 48)
    assert np.abs(np.asarray(image, float) - np.asarray(photograph(), float)).mean() < 12


def test_damaged_exif_is_ignored() -> None:
    data = encode(photograph(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)
    assert decode(data).size == (64, 48)


def test_transparent_pixels_become_white() -> None:
    half = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    half.putpixel((1, 0), (0, 0, 255, 128))
    pixels = np.asarray(decode(encode(half)))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 1].tolist() == pytest.approx([127, 127, 255], abs=1)


def test_transparent_palette_entries_become_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putpixel((1, 0), 1)
    pixels = np.asarray(decode(encode(image, transparency=0)))
    assert pixels[0].tolist() == [[255, 255, 255], [200, 0, 0]]


def test_gray_with_alpha_gets_a_white_background() -> None:
    assert np.asarray(decode(encode(Image.new("LA", (1, 1), (0, 0)))))[0, 0].tolist() == [255] * 3


def test_16_bit_gray_is_reduced_to_its_high_byte() -> None:
    image = Image.fromarray(np.array([[0x0000, 0x7F00, 0xFFFF]], dtype=np.uint16))
    for image_format in ("PNG", "TIFF"):
        pixels = np.asarray(decode(encode(image, image_format)))
        assert pixels[0, :, 0].tolist() == [0, 0x7F, 0xFF]


def test_transparent_level_of_a_16_bit_png_becomes_white() -> None:
    image = Image.fromarray(np.array([[0x1234, 0x7F00]], dtype=np.uint16))
    pixels = np.asarray(decode(encode(image, transparency=0x1234)))
    assert pixels[0, :, 0].tolist() == [255, 0x7F]


def test_1_bit_image_is_decoded_to_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert np.asarray(decode(encode(image)))[0, :, 0].tolist() == [0, 255]


def test_cmyk_jpeg_keeps_its_color() -> None:
    data = encode(Image.new("RGB", (16, 16), (200, 40, 40)).convert("CMYK"), "JPEG", quality=95)
    assert np.asarray(decode(data))[8, 8].tolist() == pytest.approx([200, 40, 40], abs=6)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP"])
def test_first_frame_of_an_animation_is_decoded(image_format: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = encode(frames[0], image_format, save_all=True, append_images=frames[1:], lossless=True)
    assert np.asarray(decode(data))[4, 4].tolist() == [255, 0, 0]


def test_multi_picture_jpeg_of_a_phone_is_a_jpeg() -> None:
    data = encode(photograph(), "MPO", save_all=True, append_images=[photograph()])
    header = read_header(data, LIMITS)
    assert header.format == "JPEG"
    assert header.decode().size == (64, 48)


def test_floating_point_pixels_are_refused_with_advice() -> None:
    data = encode(Image.new("F", (4, 4), 0.5), "TIFF")
    with pytest.raises(UnsupportedFormatError, match="8 or 16 bits"):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [b"x", b"plain text", b"<html>", b"{}", b"PK\3\4", b"\x80\4.", b"<svg/>", b"%PDF-1.7", b"%!PS"],
)
def test_other_formats_are_refused_as_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match="JPEG, PNG"):
        read_header(data, LIMITS)


def test_32_bit_integer_pixels_are_refused_with_advice() -> None:
    data = encode(Image.fromarray(np.full((4, 4), 2**30, np.int32)), "TIFF")
    with pytest.raises(UnsupportedFormatError, match="8 or 16 bits"):
        decode(data)


def test_formats_that_only_pillow_supports_are_refused() -> None:
    for image_format in ("ICO", "PPM", "TGA", "EPS"):
        with pytest.raises(UnsupportedFormatError):
            read_header(encode(photograph(), image_format), LIMITS)


def test_an_empty_file_is_undecodable() -> None:
    with pytest.raises(UndecodableImageError, match="empty"):
        read_header(b"", LIMITS)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_refused_unless_all_its_pixels_are_there(image_format: str) -> None:
    data = encode(photograph(), image_format)
    whole = np.asarray(decode(data))
    for tenths in range(1, 10):
        try:
            image = decode(data[: len(data) * tenths // 10])
        except (UndecodableImageError, UnsupportedFormatError):
            continue
        assert tenths == 9
        assert np.array_equal(np.asarray(image), whole)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_flipped_bytes_raise_only_image_errors(image_format: str) -> None:
    data = encode(photograph(), image_format)
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        damaged = bytearray(data)
        for position in random.integers(0, len(data), size=3):
            damaged[position] ^= 1 << int(random.integers(8))
        try:
            outcomes.add(decode(bytes(damaged)).mode)
        except (UndecodableImageError, UnsupportedFormatError, ImageTooLargeError):
            outcomes.add("refused")
    assert outcomes <= {"RGB", "refused"}


def test_too_many_pixels_are_refused_before_decoding() -> None:
    header = struct.pack(">IIBBBBB", 7100, 7100, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
    )
    with pytest.raises(ImageTooLargeError, match="50,410,000 pixels"):
        read_header(data + struct.pack(">I", 0) + b"IDAT\x35\xaf\x06\x1e", LIMITS)


def test_decompression_bomb_error_of_pillow_becomes_too_large() -> None:
    with pytest.raises(ImageTooLargeError):
        read_header(encode(Image.new("1", (14_000, 14_000))), LIMITS)


def test_text_bomb_in_a_png_is_undecodable() -> None:
    compressed = b"zTXtbomb\0\0" + zlib.compress(b"a" * 80_000_000)
    chunk = (
        struct.pack(">I", len(compressed) - 4)
        + compressed
        + struct.pack(">I", zlib.crc32(compressed))
    )
    good = encode(photograph())
    with pytest.raises(UndecodableImageError):
        decode(good[:33] + chunk + good[33:])


def test_jpeg_of_too_many_scans_is_refused_before_decoding() -> None:
    data = encode(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageTooLargeError, match=r"more than 32 scans\. Save it again"):
        read_header(data[:-2] + last_scan * 10_000 + data[-2:], LIMITS)
    assert decode(data[:-2] + last_scan * 5 + data[-2:]).size == (2000, 2000)


def test_file_over_the_byte_limit_is_refused() -> None:
    with pytest.raises(ImageTooLargeError, match=r"the limit is 10\."):
        read_header(encode(photograph()), ImageLimits(max_bytes=10))


def test_jpeg_with_trailing_data_is_decoded() -> None:
    assert decode(encode(photograph(), "JPEG") + b"<script>alert(1)</script>").size == (64, 48)


def test_tiff_tag_that_claims_four_gigabytes_allocates_little() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "x" * 1000
    data = bytearray(encode(photograph(), "TIFF", tiffinfo=tags))
    at = data.index(struct.pack("<HH", 270, 2)) + 4
    data[at : at + 4] = struct.pack("<I", 0xFFFFFFF0)
    assert decode(bytes(data)).size == (64, 48)


def test_pixel_budget_blocks_images_that_do_not_fit() -> None:
    budget = PixelBudget(100)
    entered = threading.Event()

    def second() -> None:
        with budget.reserve(60):
            entered.set()

    with budget.reserve(60):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(patient())
    thread.join()
    with budget.reserve(1000):
        assert True


@pytest.mark.parametrize(
    ("min_side_px", "size"), [(30, (100, 50)), (51, (200, 100)), (400, (800, 400))]
)
def test_jpeg_is_scaled_during_decoding_if_min_side_px_allows_it(
    min_side_px: int, size: tuple[int, int]
) -> None:
    header = read_header(encode(photograph(800, 400), "JPEG"), LIMITS)
    image = header.decode(min_side_px=min_side_px)
    assert image.size == size
    assert header.upright_size == (800, 400)
    whole = photograph(800, 400).resize(size, Image.Resampling.BOX)
    assert np.abs(np.asarray(image, float) - np.asarray(whole, float)).mean() < 12


def test_other_formats_are_decoded_in_full() -> None:
    header = read_header(encode(photograph(800, 400), "PNG"), LIMITS)
    assert header.decode(min_side_px=30).size == (800, 400)


def test_upright_size_of_a_rotated_image_swaps_width_and_height() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    header = read_header(encode(photograph(800, 400), "JPEG", exif=exif), LIMITS)
    assert header.decode(min_side_px=40).size == (50, 100)
    assert header.upright_size == (400, 800)
