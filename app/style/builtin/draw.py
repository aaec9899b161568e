"""Draws the built-in styles: `python -m app.style.builtin.draw [NAME ...]`.

Everything follows from the seed, so the pictures can be drawn again.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from app.style.builtin import NAMES, path_of
from app.style.builtin.crafts import mosaic, stained_glass, woodcut
from app.style.builtin.paints import brushwork, marbling, watercolour
from app.style.builtin.tools import Array, Rng, to_image

SIZE_PX = 768
_SEED = 7
_MAX_BYTES = 200_000

_DRAWERS: dict[str, Callable[[Rng, int], Array]] = {
    "brushwork": brushwork,
    "marbling": marbling,
    "mosaic": mosaic,
    "stained-glass": stained_glass,
    "watercolour": watercolour,
    "woodcut": woodcut,
}


def draw(name: str) -> Image.Image:
    """Draw a style at twice its size and reduce it, so that edges are smooth."""
    colours = _DRAWERS[name](np.random.default_rng(_SEED), 2 * SIZE_PX)
    return to_image(colours).resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS)


def save(image: Image.Image, path: Path) -> None:
    """Write a JPEG of the best quality that stays below the size limit."""
    for quality in range(92, 20, -3):
        image.save(path, "JPEG", quality=quality, optimize=True)
        if path.stat().st_size < _MAX_BYTES:
            return


def main() -> None:
    """Draw the named styles, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    for name in parser.parse_args().names or NAMES:
        path = path_of(name)
        if path is not None:
            save(draw(name), path)


if __name__ == "__main__":
    main()
