"""From untrusted bytes to RGB pixels.

Two steps, so that the caller can hold memory back in between: `read_header` looks at the first
bytes only and refuses what is too large; `EncodedImage.decode` does the work.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

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
_SCANS_OF_PIXELS = 10  # scans that take as long as all other work on the pixels, as measured
_PYTHON_SLOWNESS = 20  # of a decoder written in Python, likewise
_ORIENTATION_TAG = 0x0112
_TURNED = (5, 6, 7, 8)  # orientations in which width and height change places
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageLimits:
    """Limits on one image."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000


def set_up_pillow() -> None:
    """Prepare this process for untrusted images; call it once at start.

    Pillow warns about oddities in the words of the file, and Python remembers every different
    warning, so that damaged files would fill the memory. Its warning about bombs is an error.
    libtiff by itself takes up to 100 scans of a progressive JPEG image within a TIFF file.
    """
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    os.environ["LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER"] = str(screening.MAX_JPEG_SCANS)


class PixelBudget:
    """Bounds the pixels that all threads together hold decoded at one time."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._free_pixels = max_pixels
        self._changed = Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until `pixels` fit (more than the whole budget: until all of it is free)."""
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
    """An image whose header has been read and whose pixels have not.

    `pixels` is how many a decoder will hold at one time, `scans` how often it goes over them.
    """

    def __init__(self, image: Image.Image, pixels: int, scans: int) -> None:
        self._image = image
        self._size = image.size
        self.pixels = pixels
        self.scans = scans
        # Phones write several pictures into one JPEG file; Pillow calls that MPO.
        self.format = "JPEG" if image.format == "MPO" else str(image.format)

    @property
    def work(self) -> int:
        """The time that decoding takes, in units of a pixel of an ordinary image."""
        slowness = _PYTHON_SLOWNESS if self._has_python_decoder else 1
        return slowness * self.pixels * (_SCANS_OF_PIXELS + self.scans) // (_SCANS_OF_PIXELS + 1)

    @property
    def _has_python_decoder(self) -> bool:
        tiles = getattr(self._image, "tile", ())
        return any(tile.codec_name in Image.DECODERS for tile in tiles)

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height in px, once it has been decoded: some formats end with the EXIF."""
        return self._size[::-1] if _orientation(self._image) in _TURNED else self._size

    def decode(self, *, to_srgb: bool = False, enough_px: int | None = None) -> Image.Image:
        """Decode the first frame: RGB, 8 bits, upright, transparency laid over white.

        With `to_srgb`, colours are converted from the file's ICC profile where it has one. Where a
        shorter side of `enough_px` is enough, a JPEG is scaled to an eighth, a quarter or half
        while it is decoded, as long as that leaves so much: far less work for a large photograph.

        Raises:
            UndecodableImageError: the file is broken or cut short.
            UnsupportedFormatError: pixels that have no 8-bit meaning (floating point, 32 bits).
        """
        with _pillow_errors():
            if enough_px and self.format == "JPEG":
                self._image.draft(None, (enough_px, enough_px))
            self._image.load()
        if self._image.mode in ("F", "I"):
            raise UnsupportedFormatError(
                "pixels of floating point or 32 bits are not read; save it with 8 or 16 bits"
            )
        with _pillow_errors():
            image = _upright(self._image)
            return _to_rgb(_to_srgb(image) if to_srgb else image)


def read_header(data: bytes, limits: ImageLimits) -> EncodedImage:
    """Read format and size of an encoded image without decoding it.

    Raises:
        ImageTooLargeError: more bytes or pixels than `limits` allow.
        UnsupportedFormatError: not one of `FORMATS`.
        UndecodableImageError: empty, or one of `FORMATS` with a broken header.
    """
    if not data:
        raise UndecodableImageError("the file is empty")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"the file has more than the {limits.max_bytes:,} bytes that are accepted"
        )
    if not data.startswith(_SIGNATURES):
        raise UnsupportedFormatError(f"not an image in a supported format ({', '.join(FORMATS)})")
    demands = screening.screen(data)
    _check_pixels(demands.pixels, limits)
    file = _HeaderFile(data)
    with _pillow_errors():
        opened = Image.open(file, formats=FORMATS)
    file.reads_left = None
    pixels = max(opened.width * opened.height, demands.pixels)
    _check_pixels(pixels, limits)
    return EncodedImage(opened, pixels, demands.scans)


class _HeaderFile(io.BytesIO):
    """A file whose header may not take too many reads, such as for millions of empty blocks."""

    reads_left: int | None = _MAX_HEADER_READS  # None when the header has been read

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `BytesIO` does."""
        if self.reads_left is not None:
            self.reads_left -= 1
            if self.reads_left < 0:
                raise ImageTooLargeError(
                    "the file has too many parts before its pixels; save it again"
                )
        return super().read(size)


def _check_pixels(pixels: int, limits: ImageLimits) -> None:
    if pixels > limits.max_pixels:
        raise ImageTooLargeError(
            f"the image has {pixels:,} pixels; at most {limits.max_pixels:,} are accepted"
        )


@contextmanager
def _pillow_errors() -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError("the image has far more pixels than are accepted") from error
    except UnidentifiedImageError as error:
        raise UndecodableImageError("the image header is broken or cut short") from error
    except Exception as error:  # on damaged files Pillow's plugins raise almost any type
        raise UndecodableImageError(f"the image is broken or cut short: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation."""
    method = _UPRIGHT.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation; 1, upright, where there is none that can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # as above: damaged metadata raises almost any type
        return 1


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert from the embedded ICC profile; one that cannot be used counts as none."""
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
        paper = Image.new("RGB", image.size, "white")
        paper.paste(rgba, mask=rgba.getchannel("A"))
        return paper
    return image.convert("RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """Reduce 16-bit grey to 8 bits; the one level that PNG may name as transparent is white."""
    levels = np.asarray(image)
    grey = (levels >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey)
