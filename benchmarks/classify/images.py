"""The pictures that are sent."""

import io

from PIL import Image

from app.vision.digits import normalize_digit
from benchmarks.classify.contestants import ROOT


def sample(model: str) -> bytes:
    """Return a digit as MNIST has them, PNG of 28 px, or else a photograph, JPEG of about 16 kB."""
    return _digit() if model == "mnist" else _photograph()


def _photograph() -> bytes:
    buffer = io.BytesIO()
    with Image.open(ROOT / "docs/examples/cat.jpg") as photograph:
        photograph.resize((320, 213)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _digit() -> bytes:
    buffer = io.BytesIO()
    with Image.open(ROOT / "docs/examples/seven.jpg") as picture:
        normalize_digit(picture.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()
