"""Two methods to keep the colors of a photograph."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

_SAMPLE_PX = 512  # longest side of the copy on which the colors are measured
_MIN_VARIANCE = 1e-5  # of colors in 0..1; below the variance of rounding to 8 bits


def match_colors(style: Image.Image, content: Image.Image) -> Image.Image:
    """Recolor an RGB style image to the mean and covariance of the photograph's colors.

    The recoloring is a linear map of the colors, after Gatys et al., "Preserving Color in Neural
    Artistic Style Transfer", 2016: M = S_c^(1/2) S_s^(-1/2), where S is the covariance
    of each image's colors.
    """
    source, target = _colors(style), _colors(content)
    transform = _power(_covariance(target), 0.5) @ _power(_covariance(source), -0.5)
    shift = (target.mean(0) - transform @ source.mean(0)) * 255
    rows = np.concatenate((transform, shift[:, None]), axis=1)
    return style.convert("RGB", tuple(rows.flatten()))


def keep_colors(painting: Image.Image, content: Image.Image) -> Image.Image:
    """Combine the luma of a painting with the chroma of the photograph."""
    luma = painting.convert("YCbCr").getchannel("Y")
    photo = content.resize(painting.size, Image.Resampling.LANCZOS).convert("YCbCr")
    return Image.merge("YCbCr", (luma, *photo.split()[1:])).convert("RGB")


def _colors(image: Image.Image) -> Array:
    image = image.copy()
    image.thumbnail((_SAMPLE_PX, _SAMPLE_PX))
    return np.asarray(image, dtype=np.float64).reshape(-1, 3) / 255


def _covariance(colors: Array) -> Array:
    return np.cov(colors, rowvar=False, bias=True) + _MIN_VARIANCE * np.eye(3)


def _power(matrix: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    result: Array = (vectors * values**exponent) @ vectors.T
    return result
