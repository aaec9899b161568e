import io

import numpy as np
from PIL import Image, ImageCms

from app.limits import ImageLimits
from app.vision.images import read_header


def decoded(image: Image.Image, profile: bytes | None, image_format: str = "PNG") -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, image_format, icc_profile=profile)
    return read_header(buffer.getvalue(), ImageLimits()).decode(to_srgb=True)


def profile_bytes(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]


def test_srgb_image_is_unchanged() -> None:
    image = Image.new("RGB", (4, 4), (200, 100, 50))
    found = decoded(image, profile_bytes("sRGB"))
    assert np.abs(np.asarray(found, int) - np.asarray(image, int)).max() <= 1


def test_image_with_another_profile_is_converted() -> None:
    srgb = profile_bytes("sRGB")
    # The red and green primaries are swapped: stored red is displayed as green.
    swapped = bytearray(srgb)
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    found = decoded(Image.new("RGB", (4, 4), (250, 10, 10)), bytes(swapped))
    red_value, green_value, _ = found.getpixel((0, 0))  # type: ignore[misc]
    assert green_value > 200
    assert red_value < 60


def test_damaged_profile_is_ignored() -> None:
    image = Image.new("RGB", (4, 4), (200, 100, 50))
    assert decoded(image, b"not a profile").getpixel((0, 0)) == (200, 100, 50)


def test_transparency_survives_the_conversion() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert decoded(image, profile_bytes("sRGB")).getpixel((0, 0)) == (255, 255, 255)


def test_profile_is_ignored_without_to_srgb() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (250, 10, 10)).save(buffer, "PNG", icc_profile=b"not a profile")
    image = read_header(buffer.getvalue(), ImageLimits()).decode()
    assert image.getpixel((0, 0)) == (250, 10, 10)
