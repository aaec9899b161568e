"""Drawing helpers shared by the tools: palettes, coordinates, noise.

Coordinates run from 0 to 1 across the picture. Color values are RGB from 0 to 1.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Rng = np.random.Generator


def palette(*colors: str) -> Array:
    """Return the colors (n, 3) of hexadecimal RGB strings."""
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in colors])


def grid(side: int) -> tuple[Array, Array]:
    """Return the x and y coordinates of every pixel, (side, side) each."""
    y, x = np.mgrid[0:side, 0:side]
    return (x + 0.5) / side, (y + 0.5) / side


def noise(rng: Rng, side: int, cells: int, octaves: int = 1) -> Array:
    """Return smooth noise (side, side) of about unit variance, with `cells` bumps across."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        coarse = rng.standard_normal((cells * 2**octave + 3,) * 2).astype(np.float32)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(image, dtype=np.float64) * 0.5**octave
    return total


def blend(inks: Array, position: Array) -> Array:
    """Interpolate `inks` (n, 3) at positions 0..1; return colors (..., 3)."""
    at = position.clip(0, 1) * (len(inks) - 1)
    low = np.minimum(at.astype(int), len(inks) - 2)
    share = (at - low)[..., None]
    result: Array = inks[low] * (1 - share) + inks[low + 1] * share
    return result


def to_image(colors: Array) -> Image.Image:
    """Round colors (side, side, 3) to an 8-bit RGB image."""
    return Image.fromarray(np.rint(colors.clip(0, 1) * 255).astype(np.uint8))
