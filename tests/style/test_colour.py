import numpy as np
from PIL import Image

from app.style import color


def colours(image: Image.Image) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.asarray(image, dtype=np.float64).reshape(-1, 3)


def speckle(mean: tuple[int, int, int], spread: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(mean, spread, (40, 50, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def test_match_gives_the_photographs_mean_and_covariance() -> None:
    style, photo = speckle((180, 90, 60), 25, 1), speckle((90, 120, 140), 12, 2)
    found = colours(color.match(style, photo))
    np.testing.assert_allclose(found.mean(0), colours(photo).mean(0), atol=1)
    expected = np.cov(colours(photo), rowvar=False)
    np.testing.assert_allclose(np.cov(found, rowvar=False), expected, atol=8)


def test_match_survives_pictures_of_one_colour() -> None:
    plain = Image.new("RGB", (8, 8), (10, 200, 30))
    assert colours(color.match(speckle((90, 90, 90), 9, 3), plain)).std() < 100
    assert colours(color.match(plain, plain)).mean(0).round().tolist() == [10, 200, 30]


def test_keep_takes_brightness_from_one_and_chroma_from_the_other() -> None:
    painting, photo = speckle((120, 120, 120), 20, 4), Image.new("RGB", (20, 16), (150, 100, 90))
    kept = np.asarray(color.keep(painting, photo).convert("YCbCr"), dtype=float)
    luma = np.asarray(painting.convert("YCbCr"), dtype=float)[..., 0]
    assert np.abs(kept[..., 0] - luma).mean() < 2
    chroma = np.asarray(photo.convert("YCbCr"), dtype=float)[0, 0, 1:]
    assert np.abs(kept[..., 1:] - chroma).mean() < 2
