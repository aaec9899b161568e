import gzip
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageChops, ImageOps

from app.vision.digits import digit
from tests.pictures import encode, photograph

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits(datasets: Path) -> Pixels:
    """MNIST's first hundred test digits, uint8 (100, 28, 28)."""
    raw = gzip.decompress((datasets / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[:100]


def page(pixels: Pixels, *, size_px: int = 300, at: tuple[int, int] = (40, 90)) -> Image.Image:
    """The digit as a large black drawing on a white page."""
    ink = Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BICUBIC)
    paper = Image.new("L", (800, 600))
    paper.paste(ink, at)
    return ImageOps.invert(paper).convert("RGB")


def distance(first: Image.Image, second: Pixels) -> float:
    """Mean difference, 0..1 of full ink, at the best alignment within two pixels."""
    shifts = [(x, y) for x in range(-2, 3) for y in range(-2, 3)]
    return min(
        float(np.abs(np.asarray(ImageChops.offset(first, *shift), float) - second).mean()) / 255
        for shift in shifts
    )


def test_a_digit_as_in_mnist_is_left_alone(digits: Pixels) -> None:
    image = Image.fromarray(digits[0]).convert("RGB")
    assert np.array_equal(np.asarray(digit(image)), digits[0])


def test_a_large_black_digit_on_white_becomes_the_one_it_was_drawn_from(digits: Pixels) -> None:
    distances = [distance(digit(page(pixels)), pixels) for pixels in digits]
    assert np.mean(distances) < 0.03
    assert np.max(distances) < 0.06


def test_place_and_size_on_the_page_do_not_matter(digits: Pixels) -> None:
    distances = []
    for pixels in digits[:20]:
        near = digit(page(pixels, size_px=120, at=(10, 20)))
        far = digit(page(pixels, size_px=400, at=(350, 150)))
        distances.append(distance(near, np.asarray(far)))
    assert np.mean(distances) < 0.02
    assert np.max(distances) < 0.06


def test_white_on_black_and_black_on_white_are_the_same(digits: Pixels) -> None:
    drawn = page(digits[3])
    inverted = digit(ImageOps.invert(drawn))
    assert distance(digit(drawn), np.asarray(inverted)) < 0.005


def test_uneven_light_is_not_ink(digits: Pixels) -> None:
    shade = Image.fromarray(np.tile(np.linspace(110, 255, 800), (600, 1)).astype(np.uint8))
    for pixels in digits[:20]:
        lit = ImageChops.multiply(page(pixels), shade.convert("RGB"))
        assert distance(digit(lit), np.asarray(digit(page(pixels)))) < 0.05


def test_a_jpeg_of_the_page_gives_the_same_digit(digits: Pixels) -> None:
    drawn = page(digits[5])
    reopened = Image.open(io.BytesIO(encode(drawn, "JPEG", quality=60))).convert("RGB")
    assert distance(digit(reopened), np.asarray(digit(drawn))) < 0.02


@pytest.mark.parametrize("colour", ["white", "black", "grey"])
def test_a_blank_page_has_no_ink(colour: str) -> None:
    assert digit(Image.new("RGB", (300, 200), colour)).getextrema() == (0, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 65_000), (65_000, 1), (28, 28), (2, 300)])
def test_any_shape_gives_28_by_28(size: tuple[int, int]) -> None:
    assert digit(photograph(*size)).size == (28, 28)
