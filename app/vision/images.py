"""Decoding of untrusted bytes to RGB images.

Decoding has two steps, so that the caller can limit memory in between: `read_header` reads only the
header and rejects images that are too large; `EncodedImage.decode` decodes the pixels.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from app.limits import ImageLimits
from app.vision import screening
from app.vision.errors import (
    ImageError,
    ImageTooLargeError,
    UndecodableImageError,
    UnsupportedFormatError,
)

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF",
    b"BM",
    b"GIF8",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
_MAX_HEADER_READS = 100_000  # most plugins read headers a few bytes at a time, in Python
_FIXED_COST_SCANS = 10  # scans that take as long as all other work on the pixels; measured
_PYTHON_SLOWDOWN = 20  # of a decoder written in Python; measured
_ORIENTATION_TAG = 0x0112
_ROTATED = (5, 6, 7, 8)  # orientations that swap width and height
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def configure_pillow() -> None:
    """Configure Pillow for untrusted images; call this once at process start.

    Pillow's warnings quote the file, and Python remembers every distinct warning, so that damaged
    files would fill the memory. Its warning about decompression bombs becomes an error. By default
    libtiff accepts up to 100 scans of a progressive JPEG image within a TIFF file.
    """
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    os.environ["LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER"] = str(screening.MAX_JPEG_SCANS)


class PixelBudget:
    """A limit on the decoded pixels that all threads together hold at one time."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._free_pixels = max_pixels
        self._changed = Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until `pixels` fit; if they exceed the whole budget, until all of it is free."""
        pixels = min(pixels, self._max_pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._free_pixels >= pixels)
            self._free_pixels -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free_pixels += pixels
                self._changed.notify_all()


class EncodedImage:
    """An image whose header has been read but whose pixels have not been decoded.

    `pixels` is the number that the decoder holds at one time, `scans` the number of its passes.
    """

    def __init__(self, image: Image.Image, pixels: int, scans: int) -> None:
        self._image = image
        self._size = image.size
        self.pixels = pixels
        self.scans = scans
        # Phones write several images into one JPEG file; Pillow calls that MPO.
        self.format = "JPEG" if image.format == "MPO" else str(image.format)

    @property
    def decode_cost(self) -> int:
        """Estimated decoding time, in units of one pixel of an ordinary image."""
        slowdown = _PYTHON_SLOWDOWN if self._has_python_decoder else 1
        return slowdown * self.pixels * (_FIXED_COST_SCANS + self.scans) // (_FIXED_COST_SCANS + 1)

    @property
    def _has_python_decoder(self) -> bool:
        tiles = getattr(self._image, "tile", ())
        return any(tile.codec_name in Image.DECODERS for tile in tiles)

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height in px, upright. Valid after decoding: some formats end with the EXIF."""
        return self._size[::-1] if _orientation(self._image) in _ROTATED else self._size

    def decode(self, *, to_srgb: bool = False, min_side_px: int | None = None) -> Image.Image:
        """Decode the first frame: RGB, 8 bits, upright, on a white background.

        With `to_srgb`, colors are converted from the file's ICC profile, if it has one. With
        `min_side_px`, a JPEG is scaled to 1/8, 1/4 or 1/2 while it is decoded, as long as its
        shorter side keeps that many pixels: far less work for a large photograph.

        Raises:
            UndecodableImageError: the file is damaged or truncated.
            UnsupportedFormatError: the pixels are floating point or 32-bit.
        """
        with _pillow_errors():
            if min_side_px and self.format == "JPEG":
                self._image.draft(None, (min_side_px, min_side_px))
            self._image.load()
        if self._image.mode in ("F", "I"):
            raise UnsupportedFormatError(
                "The image has floating-point or 32-bit pixels. Save it with 8 or 16 bits."
            )
        with _pillow_errors():
            image = _upright(self._image)
            return _to_rgb(_to_srgb(image) if to_srgb else image)


def read_header(data: bytes, limits: ImageLimits) -> EncodedImage:
    """Read the format and size of an encoded image without decoding it.

    Raises:
        ImageTooLargeError: the image has more bytes or pixels than `limits` allow.
        UnsupportedFormatError: the format is not one of `FORMATS`.
        UndecodableImageError: the data is empty or the header is damaged.
    """
    if not data:
        raise UndecodableImageError("The file is empty.")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"The file has {len(data):,} bytes; the limit is {limits.max_bytes:,}."
        )
    if not data.startswith(_SIGNATURES):
        raise UnsupportedFormatError(
            f"The file is not an image in a supported format ({', '.join(FORMATS)})."
        )
    cost = screening.screen(data)
    _check_pixels(cost.pixels, limits)
    file = _HeaderFile(data)
    with _pillow_errors():
        opened = Image.open(file, formats=FORMATS)
    file.reads_left = None
    pixels = max(opened.width * opened.height, cost.pixels)
    _check_pixels(pixels, limits)
    return EncodedImage(opened, pixels, cost.scans)


class _HeaderFile(io.BytesIO):
    """A file with a limited number of reads for its header, which may have endless empty blocks."""

    reads_left: int | None = _MAX_HEADER_READS  # None once the header has been read

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like `BytesIO.read`, but count the reads."""
        if self.reads_left is not None:
            self.reads_left -= 1
            if self.reads_left < 0:
                raise ImageTooLargeError(
                    "The file has too many parts before its pixels. Save it again."
                )
        return super().read(size)


def _check_pixels(pixels: int, limits: ImageLimits) -> None:
    if pixels > limits.max_pixels:
        raise ImageTooLargeError(
            f"The image has {pixels:,} pixels; the limit is {limits.max_pixels:,}. "
            "Send a smaller copy."
        )


@contextmanager
def _pillow_errors() -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(
            "The image has far more pixels than the limit. Send a smaller copy."
        ) from error
    except UnidentifiedImageError as error:
        raise UndecodableImageError("The image header is damaged or truncated.") from error
    except Exception as error:  # on damaged files Pillow's plugins raise almost any type
        raise UndecodableImageError(f"The image is damaged or truncated: {error}.") from error


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation."""
    method = _TRANSPOSITIONS.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1 (upright) if it is missing or unreadable."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # as above: damaged metadata raises almost any type
        return 1


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert from the embedded ICC profile; ignore a profile that cannot be used."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return image if converted is None else converted


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _high_byte(image).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        background = Image.new("RGB", image.size, "white")
        background.paste(rgba, mask=rgba.getchannel("A"))
        return background
    return image.convert("RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """Reduce 16-bit gray to 8 bits; the level that a PNG declares transparent becomes white."""
    levels = np.asarray(image)
    gray = (levels >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray[levels == transparent] = 255
    return Image.fromarray(gray)
