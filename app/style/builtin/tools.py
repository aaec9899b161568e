"""What the built-in styles are drawn with.

Coordinates run from 0 to 1 over the picture, colours too.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Rng = np.random.Generator


def palette(*colours: str) -> Array:
    """Colours (n, 3) from hexadecimal RGB."""
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in colours])


def grid(side: int) -> tuple[Array, Array]:
    """Return the x and y of every pixel, (side, side) each."""
    y, x = np.mgrid[0:side, 0:side]
    return (x + 0.5) / side, (y + 0.5) / side


def noise(rng: Rng, side: int, cells: int, octaves: int = 1) -> Array:
    """Smooth noise (side, side) of about unit spread, with `cells` bumps across."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        coarse = rng.standard_normal((cells * 2**octave + 3,) * 2).astype(np.float32)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(image, dtype=np.float64) * 0.5**octave
    return total


def blend(inks: Array, position: Array) -> Array:
    """Colours along `inks` (n, 3) at positions 0..1: (..., 3)."""
    at = position.clip(0, 1) * (len(inks) - 1)
    low = np.minimum(at.astype(int), len(inks) - 2)
    share = (at - low)[..., None]
    result: Array = inks[low] * (1 - share) + inks[low + 1] * share
    return result


def to_image(colours: Array) -> Image.Image:
    """Round colours (side, side, 3) to an 8-bit RGB image."""
    return Image.fromarray(np.rint(colours.clip(0, 1) * 255).astype(np.uint8))
