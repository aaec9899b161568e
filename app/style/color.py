"""Two ways to keep a photograph's colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

_SAMPLE_PX = 512  # longest side of what the colours are measured on
_SMALLEST_VARIANCE = 1e-5  # of colours in 0..1; below the variance of rounding to 8 bits


def match(style: Image.Image, content: Image.Image) -> Image.Image:
    """Recolour an RGB style image so that its colours have the photograph's mean and covariance.

    A linear map of the colours, after Gatys et al., "Preserving Color in Neural Artistic Style
    Transfer", 2016: M = S_c^(1/2) S_s^(-1/2), with S the covariance of each picture's colours.
    """
    source, target = _colours(style), _colours(content)
    change = _power(_covariance(target), 0.5) @ _power(_covariance(source), -0.5)
    shift = (target.mean(0) - change @ source.mean(0)) * 255
    rows = np.concatenate((change, shift[:, None]), axis=1)
    return style.convert("RGB", tuple(rows.flatten()))


def keep(painting: Image.Image, content: Image.Image) -> Image.Image:
    """Give a painting the photograph's colours: its own luma, the photograph's chroma."""
    luma = painting.convert("YCbCr").getchannel("Y")
    photo = content.resize(painting.size, Image.Resampling.LANCZOS).convert("YCbCr")
    return Image.merge("YCbCr", (luma, *photo.split()[1:])).convert("RGB")


def _colours(image: Image.Image) -> Array:
    image = image.copy()
    image.thumbnail((_SAMPLE_PX, _SAMPLE_PX))
    return np.asarray(image, dtype=np.float64).reshape(-1, 3) / 255


def _covariance(
    colours: Array,
) -> Array:
    return np.cov(colours, rowvar=False, bias=True) + _SMALLEST_VARIANCE * np.eye(3)


def _power(matrix: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    result: Array = (vectors * values**exponent) @ vectors.T
    return result
