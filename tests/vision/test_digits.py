import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageChops, ImageDraw, ImageOps

from app.settings import Settings
from app.vision.classifier import Classifier
from app.vision.digits import normalize_digit
from tests.pictures import encode, photograph

_WIDTH_PX, _HEIGHT_PX = 640, 480
_COUNT = 50

Pixels = npt.NDArray[np.uint8]
Ink = npt.NDArray[np.float32]  # (H, W), 0..1
Level = float | tuple[float, float, float]
Draw = Callable[[Pixels, np.random.Generator], Image.Image]


@pytest.fixture(scope="module")
def all_digits(datasets: Path) -> Pixels:
    """MNIST's test digits, uint8 (10000, 28, 28)."""
    raw = gzip.decompress((datasets / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)


@pytest.fixture(scope="module")
def digits(all_digits: Pixels) -> Pixels:
    return all_digits[:100]


@pytest.fixture(scope="module")
def labels(datasets: Path) -> list[int]:
    raw = gzip.decompress((datasets / "mnist/t10k-labels-idx1-ubyte.gz").read_bytes())
    return list(raw[8 : 8 + _COUNT])


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load("mnist", Settings().models_dir, torch.device("cpu"))


def page(pixels: Pixels, *, size_px: int = 300, at: tuple[int, int] = (40, 90)) -> Image.Image:
    """Draw the digit large and black on a white page."""
    ink = Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BICUBIC)
    paper = Image.new("L", (800, 600))
    paper.paste(ink, at)
    return ImageOps.invert(paper).convert("RGB")


def ink_on_page(pixels: Pixels, random: np.random.Generator, size_px: int = 280) -> Ink:
    """Place the digit on a page, at least 60 px from its edges."""
    ink = Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BICUBIC)
    page = Image.new("L", (_WIDTH_PX, _HEIGHT_PX))
    left, top = (int(random.integers(60, side - size_px - 59)) for side in (_WIDTH_PX, _HEIGHT_PX))
    page.paste(ink, (left, top))
    return np.asarray(page, np.float32) / np.float32(255)


def painted(ink: Ink, paper: Level | Ink = 245.0, pen: Level = 20.0) -> Pixels:
    """Return RGB (H, W, 3) of a pen on paper; the paper may be an image."""
    under = np.asarray(paper, np.float32)
    under = under[..., np.newaxis] if under.ndim == 2 else under
    amount = ink[..., np.newaxis]
    blend = under * (1 - amount) + np.asarray(pen, np.float32) * amount
    return np.broadcast_to(blend, (*ink.shape, 3)).clip(0, 255).astype(np.uint8)


def paper_with(*boxes: tuple[slice, slice], level: float, paper: float = 245) -> Ink:
    sheet = np.full((_HEIGHT_PX, _WIDTH_PX), paper, np.float32)
    for box in boxes:
        sheet[box] = level
    return sheet


def border(width_px: int, level: float) -> Ink:
    inside = slice(width_px, -width_px), slice(width_px, -width_px)
    return paper_with(inside, level=245, paper=level)


def ruled(gap_px: int, level: float, *, squared: bool = False) -> Ink:
    sheet = np.full((_HEIGHT_PX, _WIDTH_PX), 248, np.float32)
    for line in range(2):
        sheet[line::gap_px] = level
        if squared:
            sheet[:, line::gap_px] = level
    return sheet


def on(paper: Level | Ink = 245.0, pen: Level = 20.0, size_px: int = 280) -> Draw:
    return lambda pixels, random: Image.fromarray(
        painted(ink_on_page(pixels, random, size_px), paper, pen)
    )


def noisy(paper: float, pen: float, sigma: float) -> Draw:
    def draw(pixels: Pixels, random: np.random.Generator) -> Image.Image:
        clean = painted(ink_on_page(pixels, random), paper, pen)
        noise = random.standard_normal(clean.shape, np.float32) * sigma
        return Image.fromarray((clean + noise).clip(0, 255).astype(np.uint8))

    return draw


def specks(count: int, size_px: int) -> Draw:
    def draw(pixels: Pixels, random: np.random.Generator) -> Image.Image:
        drawn = painted(ink_on_page(pixels, random))
        for _ in range(count):
            row, column = random.integers(_HEIGHT_PX - size_px), random.integers(_WIDTH_PX)
            drawn[row : row + size_px, column : column + size_px] = 0
        return Image.fromarray(drawn)

    return draw


def drawing_pad(pixels: Pixels, random: np.random.Generator) -> Image.Image:
    canvas = Image.new("L", (28, 28))
    small = Image.fromarray(pixels).resize((18, 18), Image.Resampling.BICUBIC)
    left, top = random.integers(0, 11, 2)
    canvas.paste(small, (int(left), int(top)))
    return canvas.convert("RGB")


def tilted_sheet(pixels: Pixels, random: np.random.Generator) -> Image.Image:
    drawn = on(border(50, 60), size_px=160)(pixels, random)
    return drawn.rotate(8, Image.Resampling.BILINEAR, fillcolor=(60, 60, 60))


def distance(first: Image.Image, second: Pixels) -> float:
    """Return the mean difference, 0..1 of full ink, at the best alignment within 2 px."""
    shifts = [(x, y) for x in range(-2, 3) for y in range(-2, 3)]
    return min(
        float(np.abs(np.asarray(ImageChops.offset(first, *shift), float) - second).mean()) / 255
        for shift in shifts
    )


EVERYWHERE = slice(None)
DISTURBANCES: dict[str, Draw] = {
    "clean": on(),
    "chalk": on((60, 80, 70), (210, 210, 210)),
    "small": on(size_px=40),
    "one dead pixel": specks(1, 1),
    "ten dead pixels": specks(10, 1),
    "speck of 2 px": specks(1, 2),
    "speck of 4 px": specks(1, 4),
    "three specks of 5 px": specks(3, 5),
    "scanner border at the left": on(paper_with((EVERYWHERE, slice(12)), level=5)),
    "scanner border all around": on(border(12, 5), size_px=200),
    "pencil by a scanner border": on(paper_with((EVERYWHERE, slice(12)), level=5), 160),
    "paper edge on a desk": on(paper_with((EVERYWHERE, slice(30)), level=70)),
    "sheet on a desk": on(border(50, 60), size_px=160),
    "tilted sheet on a desk": tilted_sheet,
    "framed whiteboard": on(border(6, 90), (20, 90, 40)),
    "noise on ink": noisy(200, 40, sigma=20),
    "noise on weak ink": noisy(160, 90, sigma=20),
    "noise on pencil": noisy(200, 120, sigma=15),
    "squared paper": on(ruled(25, 150, squared=True), (20, 20, 60)),
    "lined paper and a blue pen": on(ruled(40, 150), (60, 70, 190)),
    "red on blue as light": on((60, 60, 255), (200, 20, 20)),
    "yellow on white": on(250, (255, 220, 0)),
    "drawing pad": drawing_pad,
}


@pytest.mark.models
@pytest.mark.parametrize("name", DISTURBANCES)
def test_digit_is_recognized_on_any_background(
    name: str, digits: Pixels, labels: list[int], classifier: Classifier
) -> None:
    random = np.random.default_rng(0)
    drawn = [DISTURBANCES[name](pixels, random) for pixels in digits[:_COUNT]]
    likely = classifier.probabilities([classifier.preprocess(image) for image in drawn])
    assert (likely.argmax(dim=1).numpy() == labels).mean() >= 0.95


def test_digit_in_mnist_format_is_returned_unchanged(all_digits: Pixels) -> None:
    for pixels in all_digits:
        image = Image.fromarray(pixels).convert("RGB")
        assert np.array_equal(np.asarray(normalize_digit(image)), pixels)


def test_large_black_digit_on_white_is_converted_back_to_its_original(digits: Pixels) -> None:
    distances = [distance(normalize_digit(page(pixels)), pixels) for pixels in digits]
    assert np.mean(distances) < 0.03
    assert np.max(distances) < 0.06


def test_result_does_not_depend_on_position_and_size_on_the_page(digits: Pixels) -> None:
    distances = []
    for pixels in digits[:20]:
        near = normalize_digit(page(pixels, size_px=120, at=(10, 20)))
        far = normalize_digit(page(pixels, size_px=400, at=(350, 150)))
        distances.append(distance(near, np.asarray(far)))
    assert np.mean(distances) < 0.02
    assert np.max(distances) < 0.06


def test_detached_stroke_is_part_of_the_digit() -> None:
    drawn = Image.new("RGB", (400, 400), "white")
    pen = ImageDraw.Draw(drawn)
    pen.arc((120, 180, 260, 320), -130, 150, fill="black", width=18)
    pen.line((130, 120, 150, 200), fill="black", width=18)
    without_bar = normalize_digit(drawn)
    pen.line((190, 100, 270, 90), fill="black", width=18)
    with_bar = normalize_digit(drawn)
    assert distance(with_bar, np.asarray(without_bar)) > 0.03
    top_right = np.asarray(with_bar)[:9, 15:]
    assert top_right.max() > 200


def test_white_on_black_and_black_on_white_give_the_same_result(digits: Pixels) -> None:
    drawn = page(digits[3])
    inverted = normalize_digit(ImageOps.invert(drawn))
    assert distance(normalize_digit(drawn), np.asarray(inverted)) < 0.005


def test_uneven_lighting_is_not_ink(digits: Pixels) -> None:
    shade = Image.fromarray(np.tile(np.linspace(110, 255, 800), (600, 1)).astype(np.uint8))
    for pixels in digits[:20]:
        lit = ImageChops.multiply(page(pixels), shade.convert("RGB"))
        assert distance(normalize_digit(lit), np.asarray(normalize_digit(page(pixels)))) < 0.05


def test_a_jpeg_of_the_page_gives_the_same_digit(digits: Pixels) -> None:
    drawn = page(digits[5])
    reopened = Image.open(io.BytesIO(encode(drawn, "JPEG", quality=60))).convert("RGB")
    assert distance(normalize_digit(reopened), np.asarray(normalize_digit(drawn))) < 0.02


@pytest.mark.parametrize("color", ["white", "black", "gray"])
def test_blank_page_returns_a_black_image(color: str) -> None:
    assert normalize_digit(Image.new("RGB", (300, 200), color)).getextrema() == (0, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 65_000), (65_000, 1), (28, 28), (2, 300)])
def test_image_of_any_size_returns_28_by_28(size: tuple[int, int]) -> None:
    assert normalize_digit(photograph(*size)).size == (28, 28)


def test_random_pixels_return_28_by_28() -> None:
    random = np.random.default_rng(0)
    for _ in range(500):
        height, width = random.integers(1, 60, 2)
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert normalize_digit(Image.fromarray(pixels)).size == (28, 28)
