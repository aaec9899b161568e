"""Pictures that tests draw themselves."""

import io

import numpy as np
from PIL import Image


def photograph(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth RGB picture that no flip or rotation leaves as it is."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = x * 255 // width, y * 255 // height, (x + 2 * y) % 256
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def encode(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    """The file that Pillow makes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
