import numpy as np
from PIL import Image

from app.style import color


def colors_of(image: Image.Image) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.asarray(image, dtype=np.float64).reshape(-1, 3)


def speckle(mean: tuple[int, int, int], spread: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(mean, spread, (40, 50, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def test_match_colors_gives_the_mean_and_covariance_of_the_photograph() -> None:
    style, photo = speckle((180, 90, 60), 25, 1), speckle((90, 120, 140), 12, 2)
    found = colors_of(color.match_colors(style, photo))
    np.testing.assert_allclose(found.mean(0), colors_of(photo).mean(0), atol=1)
    expected = np.cov(colors_of(photo), rowvar=False)
    np.testing.assert_allclose(np.cov(found, rowvar=False), expected, atol=8)


def test_match_colors_works_with_images_of_one_color() -> None:
    plain = Image.new("RGB", (8, 8), (10, 200, 30))
    assert colors_of(color.match_colors(speckle((90, 90, 90), 9, 3), plain)).std() < 100
    assert colors_of(color.match_colors(plain, plain)).mean(0).round().tolist() == [10, 200, 30]


def test_keep_colors_combines_luma_and_chroma() -> None:
    painting, photo = speckle((120, 120, 120), 20, 4), Image.new("RGB", (20, 16), (150, 100, 90))
    kept = np.asarray(color.keep_colors(painting, photo).convert("YCbCr"), dtype=float)
    luma = np.asarray(painting.convert("YCbCr"), dtype=float)[..., 0]
    assert np.abs(kept[..., 0] - luma).mean() < 2
    chroma = np.asarray(photo.convert("YCbCr"), dtype=float)[0, 0, 1:]
    assert np.abs(kept[..., 1:] - chroma).mean() < 2
